"""Reading a backbone's anatomy: its layers, shapes, costs and limits, found by watching a few small forward passes.

Nothing here knows a family by name. Axes: `T` tokens, `D` width; every pass has one example.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedTokenizerFast

from headstart.engine.backbones.importing import folder_sha256
from headstart.engine.backbones.loading import load_module, load_tokenizer
from headstart.engine.backbones.targets import adapter_targets
from headstart.engine.backbones.trust import refuse_config, refuse_tokenizer
from headstart.engine.boundary import first_tensor
from headstart.specs.backbones import Anatomy, Layer, Tensor

PROBE_TOKENS = 64
"""Tokens of a probe, and so those at which the cost of a layer is measured."""

_TRIAL_TEXTS = ["A plain sentence, with 3 numbers: 1.5!", "a" * 512 + "!", " " * 256 + "\t\n", "漢字 émoji 🙂 \u200d", ""]
"""A tokenizer whose patterns panic or explode should do so here, in a child with limits, not while it serves."""


def read_anatomy(folder: Path, files: Mapping[str, str], license: str | None) -> Anatomy:  # noqa: A002 (as in the anatomy)
    """Load the backbone in `folder` and write down what plans need to know of it.

    Args:
        folder: as `import_folder` filled it.
        files: the sha256 of each of its files.
        license: what is known of its licence.

    Raises:
        BadInput: `config_refused`, `weights_invalid` or `tokenizer_refused`.
    """
    module = load_module(folder)
    tokenizer = load_tokenizer(folder)
    vocabulary, max_tokens = _vocabulary(module), _max_tokens(module, tokenizer)
    _check_tokenizer_fits(tokenizer, vocabulary)
    probe, other = (_probe_ids(vocabulary, min(PROBE_TOKENS, max_tokens), seed) for seed in (0, 1))
    seen = _watch(module, probe)
    layers = list(_layers(module, seen, other))
    last = [layer.name for layer in layers if torch.equal(_tensor(seen.outputs[layer.name]), seen.hidden)]
    if not last:
        raise refuse_config("No layer of this network gives its last hidden state.", "Only encoders of the usual build can be used.")
    linear = [name for name, part in module.named_modules() if type(part) is nn.Linear and seen.calls[name]]
    return Anatomy(
        architecture=type(module).__name__,
        model_type=str(_config(module).model_type),
        modality="text",
        license=license,
        sha256=folder_sha256(files),
        bytes=sum((folder / name).stat().st_size for name in files),
        files=dict(files),
        parameters=_parameter_count(module),
        width=seen.hidden.shape[-1],
        vocabulary=vocabulary,
        max_tokens=max_tokens,
        layers=layers,
        layer_flops_per_token=_flops_per_token(module, probe, [layer.name for layer in layers]),
        default_layer=last[-1],
        has_pooler=seen.pooled is not None,
        linear=linear,
        adapter_targets=adapter_targets(str(_config(module).model_type), linear),
        tensors=[Tensor(name=name, shape=list(parameter.shape)) for name, parameter in module.named_parameters()],
    )


def _tensor(output: object) -> torch.Tensor:
    """An empty one when there is none."""
    found = first_tensor(output)
    return torch.empty(0) if found is None else found


@dataclass(frozen=True)
class _Seen:
    """One forward pass, watched: how often each module ran, and its last output, in the order in which they finished."""

    tokens: int
    calls: Counter[str]
    outputs: dict[str, Any]
    hidden: torch.Tensor  # [1, T, D]
    pooled: torch.Tensor | None  # [1, D]


def _watch(module: nn.Module, ids: torch.Tensor) -> _Seen:
    calls: Counter[str] = Counter()
    outputs: dict[str, Any] = {}

    def hook_for(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            calls[name] += 1
            outputs[name] = output

        return hook

    handles = [part.register_forward_hook(hook_for(name)) for name, part in module.named_modules() if name]
    try:
        hidden, pooled = _forward(module, ids)
    finally:
        for handle in handles:
            handle.remove()
    return _Seen(ids.shape[1], calls, outputs, hidden, pooled)


def _forward(module: nn.Module, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Last hidden state [1, T, D], and the pooler's output [1, D] when there is a pooler."""
    with torch.no_grad():
        output = module(input_ids=ids, attention_mask=torch.ones_like(ids))
    return output.last_hidden_state, getattr(output, "pooler_output", None)


def _layers(module: nn.Module, seen: _Seen, other: torch.Tensor) -> Iterator[Layer]:
    """The layers in forward order: modules on the way of the data that ran once and give one vector for each token, or one in all."""
    candidates = set(_candidates(module, seen.calls))
    index = 0
    for name in (name for name in seen.outputs if name in candidates and seen.calls[name] == 1):
        shape = _shape(_tensor(seen.outputs[name]), seen.tokens)
        if shape is None:
            continue
        parameters, cut = _parameter_count(module.get_submodule(name)), _is_cut(module, name, seen, other)
        if parameters or cut:  # neither: a table of angles or the like, beside the way of the data
            yield Layer(object="layer", name=name, index=index, parameters=parameters, output=shape, boundary=cut)
            index += 1


def _candidates(module: nn.Module, calls: Mapping[str, int], prefix: str = "") -> Iterator[str]:
    """The module's children; one that holds a list of blocks is opened to its parts, if each block runs once (ALBERT's do not)."""
    for name, child in module.named_children():
        full = prefix + name
        if isinstance(child, (nn.ModuleList, nn.Sequential)):
            yield from (f"{full}.{block}" for block, _ in child.named_children())
        else:
            blocks = [f"{full}.{part}.{block}" for part, inner in _lists(child) for block, _ in inner.named_children()]
            if blocks and all(calls[block] == 1 for block in blocks):
                yield from _candidates(child, calls, f"{full}.")
            else:
                yield full


def _lists(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, child) for name, child in module.named_children() if isinstance(child, (nn.ModuleList, nn.Sequential)))


def _shape(output: torch.Tensor, tokens: int) -> list[str | int] | None:
    """`["T", D]` of a [1, T, D] tensor, `[D]` of a [1, D] tensor, else None."""
    if not output.is_floating_point() or output.ndim not in {2, 3} or output.shape[0] != 1:
        return None
    if output.ndim == 2:
        return [output.shape[1]]
    return ["T", output.shape[2]] if output.shape[1] == tokens else None


def _is_cut(module: nn.Module, name: str, seen: _Seen, other: torch.Tensor) -> bool:
    """Whether all that comes after this module depends on the input through its output alone, so that training may begin there.

    Found by trial: on other tokens, with this module's output put back to what was seen, the end must be bit-equal to what was seen.
    """
    kept = seen.outputs[name]
    handle = module.get_submodule(name).register_forward_hook(lambda _module, _inputs, _output: kept)
    try:
        hidden, pooled = _forward(module, other)
    finally:
        handle.remove()
    if _tensor(kept).ndim == 2:  # after pooling: the last hidden state lies below
        return pooled is not None and seen.pooled is not None and torch.equal(pooled, seen.pooled)
    return torch.equal(hidden, seen.hidden)


def _flops_per_token(module: nn.Module, ids: torch.Tensor, names: list[str]) -> dict[str, float]:
    """Multiply-adds x 2 of each layer in a pass over `ids` [1, T], divided by T."""
    # The counter knows no formula for the CPU's fused attention; the plain one is two products, which it does count.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        _forward(module, ids)
    counts = counter.get_flop_counts()
    root = type(module).__name__
    return {name: sum(counts.get(f"{root}.{name}", {}).values()) / ids.shape[1] for name in names}


def _parameter_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _config(module: nn.Module) -> Any:  # noqa: ANN401 (transformers is untyped)
    return module.config


def _vocabulary(module: nn.Module) -> int:
    """Rows of the table that token ids look into."""
    table = module.get_input_embeddings()  # type: ignore[operator]
    return int(table.num_embeddings)


def _probe_ids(vocabulary: int, tokens: int, seed: int) -> torch.Tensor:
    """Token ids [1, T] from the upper half of the vocabulary, where no padding token lies (its positions would be skipped)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocabulary // 2, vocabulary, (1, tokens), generator=generator)


def _max_tokens(module: nn.Module, tokenizer: PreTrainedTokenizerFast) -> int:
    """The least of what the configuration, the table of positions and the tokenizer allow."""
    limits = [int(_config(module).max_position_embeddings), int(tokenizer.model_max_length)]
    for name, part in module.named_modules():
        if name.endswith("position_embeddings") and isinstance(part, nn.Embedding):
            # RoBERTa's positions begin after the padding index.
            limits.append(part.num_embeddings - (0 if part.padding_idx is None else part.padding_idx + 1))
    if min(limits) < 2:
        raise refuse_config("The configuration leaves no room for a text of two tokens.")
    return min(limits)


def _check_tokenizer_fits(tokenizer: PreTrainedTokenizerFast, vocabulary: int) -> None:
    if tokenizer.pad_token_id is None:
        raise refuse_tokenizer("The tokenizer names no padding token.", "Give pad_token in tokenizer_config.json.")
    if max(tokenizer.get_vocab().values()) >= vocabulary:
        raise refuse_tokenizer(f"The tokenizer has ids beyond the network's vocabulary of {vocabulary}.")
    try:
        tokenizer(_TRIAL_TEXTS, padding=True, truncation=True, max_length=PROBE_TOKENS)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a pattern in tokenizer.json can panic, and a panic is no Exception
        raise refuse_tokenizer("The tokenizer fails on plain texts.") from error
