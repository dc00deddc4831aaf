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
from transformers import PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging as transformers_logging

from headstart.blobs.local import file_sha256
from headstart.engine.backbones import timm_models
from headstart.engine.backbones.families import model_class
from headstart.engine.backbones.importing import read_json
from headstart.engine.backbones.preprocessing import image_input
from headstart.engine.backbones.timm_models import architecture_of, is_timm
from headstart.engine.backbones.tokenizer import load_tokenizer
from headstart.engine.backbones.trust import read_config, refuse_config
from headstart.engine.backbones.weights import check_weights
from headstart.engine.faults import is_the_machines
from headstart.engine.inputs import Preprocessor
from headstart.engine.inputs.audio import AudioPreprocessor
from headstart.engine.inputs.image import ImagePreprocessor
from headstart.engine.inputs.text import TextPreprocessor
from headstart.errors import BadInput, EngineFault, listing
from headstart.specs.backbones import Anatomy, ImageInput, ModalityInput, TextInput

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
    """A loaded backbone, shared by all its users: on one device, float32, in eval mode, no parameter asks for a gradient.

    Attributes:
        anatomy: as it was registered.
        preprocessor: makes batches of raw examples.
        folder: its files.
        sha256: of its weights as they are now: the anatomy's, until a model's delta is merged.
        parent: digest of the newest artifact that was merged, None without any.
    """

    anatomy: Anatomy
    module: torch.nn.Module
    preprocessor: Preprocessor
    folder: Path
    sha256: str
    parent: str | None = None

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device


def load_backbone(folder: Path, anatomy: Anatomy, device: torch.device | str = "cpu") -> Backbone:
    """The backbone in `folder` on `device`, once each of its files is what the anatomy says.

    Raises:
        EngineFault: `bad_data`, when a file is missing, added or changed since the anatomy was read.
        BadInput: `config_refused`, `weights_invalid` or `tokenizer_refused`.
    """
    verify_files(folder, anatomy)
    module = load_module(folder)
    preprocessor = load_preprocessor(folder, module, anatomy.input, anatomy.files)
    return Backbone(anatomy, module.to(device), preprocessor, folder, anatomy.sha256)


def load_preprocessor(folder: Path, module: torch.nn.Module, spec: ModalityInput, files: Mapping[str, str]) -> Preprocessor:
    """What makes batches for `module` of raw examples.

    Args:
        files: sha256 of each file of the backbone.

    Raises:
        BadInput: `tokenizer_refused`.
    """
    if isinstance(spec, TextInput):
        return TextPreprocessor(load_tokenizer(folder), spec, files)
    # the keyword by which the module takes them
    name = "x" if is_timm(read_json(folder / "config.json")) else str(module.main_input_name)
    return ImagePreprocessor(spec, name) if isinstance(spec, ImageInput) else AudioPreprocessor(spec, name)


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
    config = read_json(folder / "config.json")
    if is_timm(config):
        module, missing, unexpected = _load_timm(folder, config, shapes)
    else:
        module, missing, unexpected = _load_transformers(folder, shapes)
    _check_names(module, missing, unexpected)
    _check_finite(module)
    return frozen(module)


def _load_timm(
    folder: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[torch.nn.Module, list[str], list[str]]:
    architecture, size = architecture_of(config), image_input(folder, config).size
    try:
        with torch.device("meta"):
            wanted = sum(parameter.numel() for parameter in timm_models.build(architecture, size).parameters())
        _check_enough(wanted, shapes)
        module = timm_models.build(architecture, size)
        return module, timm_models.load(module, folder), []
    except _STRANGERS_ERRORS as error:
        if is_the_machines(error):
            raise
        raise _invalid("they do not fit the architecture") from error


def _load_transformers(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> tuple[torch.nn.Module, list[str], list[str]]:
    config, bare = _network(read_config(folder))
    options = _pooling_option(bare, shapes)
    _check_room(config, bare, options, shapes)
    _silence()
    try:
        module, loaded = bare.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="sdpa" if bare._supports_sdpa else "eager",  # noqa: SLF001 (the only place that says so)
            dtype=torch.float32,
            output_loading_info=True,
            **options,
        )
    except _STRANGERS_ERRORS as error:
        if is_the_machines(error):
            raise
        raise _invalid("they do not fit the configuration") from error
    assert isinstance(module, torch.nn.Module)  # noqa: S101 (transformers is untyped)
    return module, list(loaded["missing_keys"]), list(loaded["unexpected_keys"])


def frozen(module: torch.nn.Module) -> torch.nn.Module:
    """`module` as all its users share it: float32, in eval mode, nothing trainable."""
    return module.float().eval().requires_grad_(requires_grad=False)


def random_module(folder: Path, seed: int) -> torch.nn.Module:
    """The network of `folder`'s configuration as its own initialisation makes it, by `seed`; in eval mode, float32."""
    config = read_json(folder / "config.json")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if is_timm(config):
            return frozen(timm_models.build(architecture_of(config), image_input(folder, config).size))
        network, bare = _network(read_config(folder))
        module = bare(network, **_pooling_option(bare, check_weights(folder)))
    assert isinstance(module, torch.nn.Module)  # noqa: S101 (transformers is untyped)
    return frozen(module)


def _network(values: dict[str, Any]) -> tuple[PreTrainedConfig, Any]:
    """The configuration object and the class of the bare model; transformers never reads `config.json` itself."""
    try:
        config = CONFIG_MAPPING[values.pop("model_type")](**values)
        return config, model_class(config)
    except _STRANGERS_ERRORS as error:
        if is_the_machines(error):
            raise
        raise refuse_config(
            "config.json has a value that this model type cannot have.", "Save the backbone again with transformers."
        ) from error


def _pooling_option(bare: Any, names: Iterable[str]) -> dict[str, bool]:  # noqa: ANN401 (transformers is untyped)
    if "add_pooling_layer" not in inspect.signature(bare.__init__).parameters:
        return {}
    return {"add_pooling_layer": any(name.removeprefix(f"{bare.base_model_prefix}.").startswith("pooler.") for name in names)}


def _check_room(config: PreTrainedConfig, bare: Any, options: Mapping[str, bool], shapes: Mapping[str, tuple[int, ...]]) -> None:  # noqa: ANN401
    """Build the network without memory first: a small file must not make a configuration allocate terabytes."""
    try:
        with torch.device("meta"):
            wanted = sum(parameter.numel() for parameter in bare(config, **options).parameters())
    except _STRANGERS_ERRORS as error:
        if is_the_machines(error):
            raise
        raise refuse_config("config.json does not describe a network that can be built.") from error
    _check_enough(wanted, shapes)


def _check_enough(wanted: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
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
    bad = [name for name, parameter in module.named_parameters() if not math.isfinite(float(parameter.detach().sum()))]
    if bad:
        raise _invalid(f"{listing(bad, 3)} is not finite")


def _invalid(why: str) -> BadInput:
    return BadInput("weights_invalid", f"The weights cannot be used: {why}.", "Save the backbone again with transformers.")
