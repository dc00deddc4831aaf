"""Loading a backbone: every file is checked against its digest, the configuration against the allow-list, then transformers builds it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import PreTrainedConfig, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.utils import logging as transformers_logging

from headstart.blobs.local import file_sha256
from headstart.engine.backbones.importing import read_json
from headstart.engine.backbones.trust import check_tokenizer, check_tokenizer_config, read_config, refuse_config, refuse_tokenizer
from headstart.engine.backbones.weights import check_weights
from headstart.engine.faults import is_the_machines
from headstart.errors import BadInput, EngineFault, listing
from headstart.specs.backbones import Anatomy

_STRANGERS_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    SafetensorError,
    StrictDataclassError,
)
"""What transformers raises about files that passed our own checks; its words never reach a user."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A loaded backbone, shared by all its users: on the CPU, float32, in eval mode, no parameter asks for a gradient.

    Attributes:
        anatomy: as it was registered.
        folder: its files.
        sha256: of its weights as they are now: the anatomy's, until a model's delta is merged.
        parent: digest of the newest artifact that was merged, None without any.
    """

    anatomy: Anatomy
    module: torch.nn.Module
    tokenizer: PreTrainedTokenizerFast
    folder: Path
    sha256: str
    parent: str | None = None


def load_backbone(folder: Path, anatomy: Anatomy) -> Backbone:
    """The backbone in `folder`, once each of its files is what the anatomy says.

    Raises:
        EngineFault: `bad_data`, when a file is missing, added or changed since the anatomy was read.
        BadInput: `config_refused`, `weights_invalid` or `tokenizer_refused`.
    """
    verify_files(folder, anatomy)
    return Backbone(anatomy, load_module(folder), load_tokenizer(folder), folder, anatomy.sha256)


def verify_files(folder: Path, anatomy: Anatomy) -> None:
    """Compare names, size and digests before anything is mapped: a truncated file under a map is a SIGBUS, not an exception.

    Raises:
        EngineFault: `bad_data`.
    """
    found = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    changed = sorted(found ^ anatomy.files.keys())
    if not changed:
        changed = sorted(name for name, digest in anatomy.files.items() if file_sha256(folder / name) != digest)
    if changed:
        raise EngineFault(
            "bad_data",
            f"The stored backbone is not what it was when it was registered: {listing(changed, 5)}.",
            "Register the backbone again, or restore its files from a backup.",
        )


def load_module(folder: Path) -> torch.nn.Module:
    """The bare model (no task head) with the weights in `folder`: CPU, float32, eval mode, nothing trainable.

    A pooler is part of it only when its weights are there.

    Raises:
        BadInput: `config_refused` or `weights_invalid`.
    """
    shapes = check_weights(folder)
    config, model_class = _network(read_config(folder))
    options = _pooling_option(model_class, shapes)
    _check_room(config, model_class, options, shapes)
    _silence()
    try:
        module, loaded = model_class.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="sdpa" if model_class._supports_sdpa else "eager",  # noqa: SLF001 (the only place that says so)
            dtype=torch.float32,
            output_loading_info=True,
            **options,
        )
    except _STRANGERS_ERRORS as error:
        if is_the_machines(error):
            raise
        raise _invalid("they do not fit the configuration") from error
    assert isinstance(module, torch.nn.Module)  # noqa: S101 (transformers is untyped)
    _check_names(module, loaded["missing_keys"], loaded["unexpected_keys"])
    module.eval().requires_grad_(requires_grad=False)
    _check_finite(module)
    return module


def random_module(folder: Path, seed: int) -> torch.nn.Module:
    """The network of `folder`'s configuration as its own initialisation makes it, by `seed`; in eval mode, float32."""
    _, model_class = network = _network(read_config(folder))
    options = _pooling_option(model_class, check_weights(folder))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = model_class(network[0], **options)
    assert isinstance(module, torch.nn.Module)  # noqa: S101 (transformers is untyped)
    return module.float().eval().requires_grad_(requires_grad=False)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer in `folder`, with its special tokens and without templates or classes of its own.

    Raises:
        BadInput: `tokenizer_refused`.
    """
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


def _network(values: dict[str, Any]) -> tuple[PreTrainedConfig, Any]:
    """The configuration object and the class of the bare model; transformers never reads `config.json` itself."""
    try:
        config = CONFIG_MAPPING[values.pop("model_type")](**values)
        return config, MODEL_MAPPING[type(config)]
    except _STRANGERS_ERRORS as error:
        if is_the_machines(error):
            raise
        raise refuse_config(
            "config.json has a value that this model type cannot have.", "Save the backbone again with transformers."
        ) from error


def _pooling_option(model_class: Any, names: Iterable[str]) -> dict[str, bool]:  # noqa: ANN401 (transformers is untyped)
    if "add_pooling_layer" not in inspect.signature(model_class.__init__).parameters:
        return {}
    return {"add_pooling_layer": any(name.removeprefix(f"{model_class.base_model_prefix}.").startswith("pooler.") for name in names)}


def _check_room(config: PreTrainedConfig, model_class: Any, options: Mapping[str, bool], shapes: Mapping[str, tuple[int, ...]]) -> None:  # noqa: ANN401
    """Build the network without memory first: a small file must not make a configuration allocate terabytes."""
    try:
        with torch.device("meta"):
            wanted = sum(parameter.numel() for parameter in model_class(config, **options).parameters())
    except _STRANGERS_ERRORS as error:
        if is_the_machines(error):
            raise
        raise refuse_config("config.json does not describe a network that can be built.") from error
    if wanted > sum(math.prod(shape) for shape in shapes.values()):
        raise _invalid("the configuration asks for more parameters than they hold")


def _silence() -> None:
    """transformers writes its own report and progress bar to stderr; ours goes to the user with a code."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _check_names(module: torch.nn.Module, missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """Every parameter has its weights; what is left over belongs to heads (`cls.`, `lm_head.`), not to a part of the bare model."""
    if absent := sorted(missing):
        raise _invalid(f"they lack {listing(absent, 3)}")
    prefix = f"{getattr(module, 'base_model_prefix', '')}."
    parts = {name for name, _ in module.named_children()}
    extra = sorted(name for name in (name.removeprefix(prefix) for name in unexpected) if name.split(".")[0] in parts)
    if extra := [name for name in extra if not name.endswith("position_ids")]:  # a constant that old versions saved
        raise _invalid(f"the configuration has no place for {listing(extra, 3)}")


def _check_finite(module: torch.nn.Module) -> None:
    # A sum is finite only when all are, and needs one pass and no mask; an overflow of finite weights is no model either.
    bad = [name for name, parameter in module.named_parameters() if not math.isfinite(float(parameter.sum()))]
    if bad:
        raise _invalid(f"{listing(bad, 3)} is not finite")


def _invalid(why: str) -> BadInput:
    return BadInput("weights_invalid", f"The weights cannot be used: {why}.", "Save the backbone again with transformers.")
