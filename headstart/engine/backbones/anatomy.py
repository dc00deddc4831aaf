"""Reading a backbone's anatomy: its layers, shapes, costs and limits, found by watching a few small forward passes.

Nothing here knows a family by name. Axes: T tokens or frames, H and W of a map, D width; every pass has one example.
"""

from __future__ import annotations

import math
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

from headstart.engine.backbones.families import call, family_of, last_hidden, pooled_output
from headstart.engine.backbones.importing import folder_sha256, read_json
from headstart.engine.backbones.loading import load_module, load_preprocessor
from headstart.engine.backbones.preprocessing import audio_input, image_input
from headstart.engine.backbones.targets import adapter_targets
from headstart.engine.backbones.timm_models import architecture_of, is_timm
from headstart.engine.backbones.tokenizer import check_fits, load_tokenizer
from headstart.engine.backbones.trust import refuse_config
from headstart.engine.boundary import first_tensor, with_first
from headstart.engine.inputs import Batch, Preprocessor
from headstart.planning.estimates import UNITS_A_SECOND
from headstart.specs.backbones import Anatomy, AudioInput, Axis, ImageInput, Layer, ModalityInput, Tensor, TextInput

PROBE_LENGTH = 64
"""Units of a probe (tokens, or 0.02 s of sound), and so those at which the cost of a layer is measured."""

SHORTER_PROBE = 40
"""Of a second probe, which shows the axes that go with the length."""

MOST_TOKENS = 32_768
"""For networks that say no limit of their own: their positions are relative."""


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
    spec = _input(folder, module)
    return anatomy_of(
        module,
        load_preprocessor(folder, module, spec, files),
        spec,
        architecture=_architecture(folder, module),
        license=license,
        sha256=folder_sha256(files),
        bytes=sum((folder / name).stat().st_size for name in files),
        files=dict(files),
    )


def anatomy_of(module: nn.Module, preprocessor: Preprocessor, spec: ModalityInput, **known: Any) -> Anatomy:  # noqa: ANN401
    """The anatomy of a loaded module.

    Args:
        known: what is not found by watching: `architecture`, `license`, `sha256`, `bytes`, `files`.

    Raises:
        BadInput: `config_refused`, when no layer gives its last hidden state.
    """
    length = PROBE_LENGTH if preprocessor.most is None else min(PROBE_LENGTH, preprocessor.most)
    probe, other = (preprocessor.sample(length, 1, seed) for seed in (0, 1))
    seen = _watch(module, probe)
    layers = list(_layers(module, seen, other, _axes(module, preprocessor, spec, seen, length)))
    last = [layer.name for layer in layers if _same(seen.outputs[layer.name], seen.hidden)]
    if not last:
        raise refuse_config("No layer of this network gives its last hidden state.", "Only encoders of the usual build can be used.")
    units = _units(spec, length)
    names = [layer.name for layer in layers]
    top = next(layer for layer in layers if layer.name == last[-1])
    config: Any = getattr(module, "config", None)
    model_type = "timm" if config is None else str(config.model_type)
    # one that never runs is read by other code, past any adapter
    linear = [name for name, part in module.named_modules() if type(part) is nn.Linear and seen.calls[name]]
    return Anatomy(
        model_type=model_type,
        library="timm" if config is None else "transformers",
        input=spec,
        parameters=_parameter_count(module),
        width=int(top.output[top.axes.index("D")]),
        layers=layers,
        layer_flops={name: count / units for name, count in _flops(module, probe, names).items()},
        layer_positions={layer.name: _places(seen.outputs[layer.name], layer) / units for layer in layers},
        default_layer=last[-1],
        has_pooler=seen.pooled is not None,
        linear=linear,
        adapter_targets=adapter_targets(model_type, linear),
        tensors=[Tensor(name=name, shape=list(parameter.shape)) for name, parameter in module.named_parameters()],
        **known,
    )


def _architecture(folder: Path, module: nn.Module) -> str:
    config = read_json(folder / "config.json")
    return architecture_of(config) if is_timm(config) else type(module).__name__


def _input(folder: Path, module: nn.Module) -> ModalityInput:
    """What the backbone takes, from its configuration and its preprocessing files."""
    config = read_json(folder / "config.json")
    match family_of(module).modality:
        case "text":
            return _text_input(module, load_tokenizer(folder))
        case "image":
            return image_input(folder, config)
        case "audio":
            return audio_input(folder, config)


def _text_input(module: nn.Module, tokenizer: PreTrainedTokenizerFast) -> TextInput:
    vocabulary = int(module.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    check_fits(tokenizer, vocabulary)
    segments = getattr(module.config, "type_vocab_size", 0) or 0
    return TextInput(vocabulary=vocabulary, max_tokens=_max_tokens(module, tokenizer), segments=int(segments) > 1)


def _tensor(output: object) -> torch.Tensor:
    """An empty one when there is none."""
    found = first_tensor(output)
    return torch.empty(0) if found is None else found


def _same(output: object, hidden: torch.Tensor) -> bool:
    return torch.equal(_tensor(output), hidden)


@dataclass(frozen=True)
class _Seen:
    """One forward pass, watched: how often each module ran, and its last output, in the order in which they finished."""

    calls: Counter[str]
    outputs: dict[str, Any]
    hidden: torch.Tensor  # [1, T, D] and the like
    pooled: torch.Tensor | None  # [1, D]


def _watch(module: nn.Module, batch: Batch) -> _Seen:
    calls: Counter[str] = Counter()
    outputs: dict[str, Any] = {}

    def hook_for(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            calls[name] += 1
            first = first_tensor(output)
            # a copy: what comes after may change it in place
            outputs[name] = output if first is None else with_first(output, first.clone())

        return hook

    handles = [part.register_forward_hook(hook_for(name)) for name, part in module.named_modules() if name]
    try:
        hidden, pooled = _forward(module, batch)
    finally:
        for handle in handles:
            handle.remove()
    return _Seen(calls, outputs, hidden, pooled)


def _forward(module: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Last hidden state, and the model's own vector [1, D] when it makes one."""
    with torch.no_grad():
        output = call(module, batch.tensors)
    return last_hidden(output), pooled_output(output)


Shape = tuple[list[str | int], list[Axis]]


def _axes(module: nn.Module, preprocessor: Preprocessor, spec: ModalityInput, seen: _Seen, length: int) -> Callable[[str], Shape | None]:
    """What gives the shape of a module's output and what its axes mean; None for what is not a hidden state."""
    shorter = min(SHORTER_PROBE, max(1, length // 2))
    outputs = seen.outputs if isinstance(spec, ImageInput) else _watch(module, preprocessor.sample(shorter, 1, 0)).outputs

    def shape_of(name: str) -> Shape | None:
        output = _tensor(seen.outputs[name])
        if not output.is_floating_point() or output.ndim not in {2, 3, 4} or output.shape[0] != 1:
            return None
        sizes, short = output.shape[1:], _tensor(outputs.get(name)).shape[1:]
        if len(short) != len(sizes):
            return None
        varying = [number for number, (one, other) in enumerate(zip(sizes, short, strict=True)) if one != other]
        axes = _meaning(tuple(sizes), varying, spec)
        if axes is None:
            return None
        return ["T" if number in varying else size for number, size in enumerate(sizes)], axes

    return shape_of


def _meaning(sizes: tuple[int, ...], varying: list[int], spec: ModalityInput) -> list[Axis] | None:
    """Of each axis after the first: the one that goes with the length is T; of a map the two that keep the image's proportions are H and W."""
    if len(sizes) == 1:
        return None if varying else ["D"]
    if len(sizes) == 2 and len(varying) < 2:
        return ["D", "T"] if varying == [1] else ["T", "D"]
    if len(sizes) == 3 and isinstance(spec, ImageInput) and not varying:
        height, width = spec.size
        last = sizes[0] * width == sizes[1] * height and sizes[1] * width != sizes[2] * height
        return ["H", "W", "D"] if last else ["D", "H", "W"]
    return None


def _layers(module: nn.Module, seen: _Seen, other: Batch, shape_of: Callable[[str], Shape | None]) -> Iterator[Layer]:
    """The layers in forward order: modules on the way of the data that ran once and give a hidden state, or one vector in all."""
    candidates = set(_candidates(module, seen.calls))
    index = 0
    for name in (name for name in seen.outputs if name in candidates and seen.calls[name] == 1):
        shape = shape_of(name)
        if shape is None:
            continue
        parameters, cut = _parameter_count(module.get_submodule(name)), _is_cut(module, name, seen, other, vector=shape[1] == ["D"])
        if parameters or cut:  # neither: a table of angles or the like, beside the way of the data
            yield Layer(object="layer", name=name, index=index, parameters=parameters, output=shape[0], axes=shape[1], boundary=cut)
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


def _is_cut(module: nn.Module, name: str, seen: _Seen, other: Batch, *, vector: bool) -> bool:
    """Whether all that comes after this module depends on the input through its output alone, so that training may begin there.

    Found by trial: on another input, with this module's output put back to what was seen, the end must be bit-equal to what was seen.

    Args:
        vector: whether it gives one vector in all: then the last hidden state lies below it.
    """
    kept = seen.outputs[name]
    kept = with_first(kept, _tensor(kept).clone())
    handle = module.get_submodule(name).register_forward_hook(lambda _module, _inputs, _output: kept)
    try:
        hidden, pooled = _forward(module, other)
    finally:
        handle.remove()
    if vector:
        return pooled is not None and seen.pooled is not None and torch.equal(pooled, seen.pooled)
    return torch.equal(hidden, seen.hidden)


def _flops(module: nn.Module, batch: Batch, names: list[str]) -> dict[str, float]:
    """Multiply-adds x 2 of each layer in a pass over one example."""
    # The counter knows no formula for the CPU's fused attention; the plain one is two products, which it does count.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        _forward(module, batch)
    counts = counter.get_flop_counts()
    root = type(module).__name__
    return {name: float(sum(counts.get(f"{root}.{name}", {}).values())) for name in names}


def _units(spec: ModalityInput, length: int) -> float:
    """How many units the probe has in which costs are counted: tokens, images, seconds."""
    match spec:
        case TextInput():
            return length
        case ImageInput():
            return 1.0
        case AudioInput():
            return spec.max_seconds if spec.features == "spectrogram" else length / UNITS_A_SECOND


def _places(output: object, layer: Layer) -> float:
    """Vectors in a layer's output for the probe."""
    sizes = _tensor(output).shape[1:]
    return float(math.prod(size for size, axis in zip(sizes, layer.axes, strict=True) if axis != "D"))


def _parameter_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _max_tokens(module: nn.Module, tokenizer: PreTrainedTokenizerFast) -> int:
    """The least of what the configuration, the table of positions and the tokenizer allow."""
    config: Any = module.config
    limits = [int(tokenizer.model_max_length)]
    if isinstance(declared := getattr(config, "max_position_embeddings", None), int):
        limits.append(declared)
    for name, part in module.named_modules():
        if name.endswith("position_embeddings") and isinstance(part, nn.Embedding):
            # RoBERTa's positions begin after the padding index.
            limits.append(part.num_embeddings - (0 if part.padding_idx is None else part.padding_idx + 1))
    limits.append(MOST_TOKENS)
    if min(limits) < 2:
        raise refuse_config("The configuration leaves no room for a text of two tokens.")
    return min(limits)
