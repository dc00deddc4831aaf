"""A backbone's tokenizer: judged, then loaded, and tried on what people write."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedTokenizerFast

from headstart.engine.backbones.importing import read_json
from headstart.engine.backbones.trust import check_tokenizer, check_tokenizer_config, refuse_tokenizer
from headstart.engine.faults import is_the_machines

_TRIAL_TEXTS = ["A plain sentence, with 3 numbers: 1.5!", "a" * 512 + "!", " " * 256 + "\t\n", "漢字 émoji 🙂 \u200d", ""]
"""A tokenizer whose patterns panic or explode should do so here, in a child with limits, not while it serves."""

_TRIAL_TOKENS = 64


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer in `folder`, with its special tokens and without templates or classes of its own.

    Raises:
        BadInput: `tokenizer_refused`.
    """
    if not (folder / "tokenizer.json").exists():
        raise refuse_tokenizer("The folder has no tokenizer.json.", "A backbone of texts needs its fast tokenizer.")
    check_tokenizer(folder / "tokenizer.json")
    special = folder / "special_tokens_map.json"
    config = folder / "tokenizer_config.json"
    options = check_tokenizer_config(read_json(config) if config.exists() else {}, read_json(special) if special.exists() else {})
    try:
        return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **options)  # type: ignore[no-untyped-call]
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a pattern in tokenizer.json can panic, and a panic is no Exception
        if is_the_machines(error):
            raise
        raise refuse_tokenizer("tokenizer.json cannot be loaded.") from error


def check_fits(tokenizer: PreTrainedTokenizerFast, vocabulary: int) -> None:
    """See that it can pad, that its ids lie in the network's table, and that it works.

    Raises:
        BadInput: `tokenizer_refused`.
    """
    if tokenizer.pad_token_id is None:
        raise refuse_tokenizer("The tokenizer names no padding token.", "Give pad_token in tokenizer_config.json.")
    if max(tokenizer.get_vocab().values()) >= vocabulary:
        raise refuse_tokenizer(f"The tokenizer has ids beyond the network's vocabulary of {vocabulary}.")
    try:
        tokenizer(_TRIAL_TEXTS, padding=True, truncation=True, max_length=_TRIAL_TOKENS)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a pattern in tokenizer.json can panic, and a panic is no Exception
        raise refuse_tokenizer("The tokenizer fails on plain texts.") from error
