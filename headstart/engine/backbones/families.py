"""The families of transformers that are taken, one small entry each, and how any backbone is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder, WhisperPreTrainedModel

from headstart.specs.backbones import Modality


@dataclass(frozen=True, slots=True)
class Family:
    """What is particular about a family.

    Attributes:
        modality: what it takes.
        keys: configuration keys that its code reads beside those that its class declares.
        model: name of its bare class in transformers, where `AutoModel` gives another.
        settings: configuration values that are ours to set: no noise that a frozen prefix must not have.
        hands_on: whether the first block of its encoder makes something for all later ones, beside the hidden state.
        decodes: whether a whole model has a decoder, which is left out here.
    """

    modality: Modality = "text"
    keys: frozenset[str] = frozenset()
    model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    hands_on: bool = False
    decodes: bool = False


_SPEECH = {"layerdrop": 0.0, "apply_spec_augment": False}

FAMILIES: Mapping[str, Family] = {
    "albert": Family(),
    "bert": Family(),
    "camembert": Family(),
    "deberta-v2": Family(
        keys=frozenset(
            {"attention_head_size", "conv_act", "conv_groups", "conv_kernel_size", "norm_rel_ebd", "position_buckets", "share_att_key"}
        )
    ),
    "distilbert": Family(),
    "electra": Family(),
    "modernbert": Family(keys=frozenset({"global_attn_every_n_layers", "global_rope_theta", "local_rope_theta"})),
    "mpnet": Family(),
    "roberta": Family(),
    "t5": Family(model="T5EncoderModel", hands_on=True, decodes=True),
    "xlm-roberta": Family(),
    "beit": Family("image"),
    "clip_vision_model": Family("image", model="CLIPVisionModel"),
    "convnext": Family("image"),
    "deit": Family("image"),
    "dinov2": Family("image"),
    "resnet": Family("image"),
    "swin": Family("image"),
    "vit": Family("image"),
    "audio-spectrogram-transformer": Family("audio"),
    "hubert": Family("audio", settings=_SPEECH),
    "wav2vec2": Family("audio", settings=_SPEECH),
    "wavlm": Family("audio", settings=_SPEECH, hands_on=True),
    "whisper": Family("audio", model="WhisperEncoderModel", settings={"encoder_layerdrop": 0.0, "apply_spec_augment": False}, decodes=True),
}
"""`model_type` of a configuration → the family."""

TIMM = Family("image")


class _AnyLengthEncoder(WhisperEncoder):  # type: ignore[no-untyped-call] # transformers is untyped
    """Whisper's encoder on recordings of any length up to its own: the table of positions is cut, and no silence is padded.

    Measured: some 20 ms for 1.6 s of sound, where 30 s of padding take twenty times as long.
    """

    def forward(self, input_features: Tensor, **_: Any) -> BaseModelOutput:  # noqa: ANN401
        embedded = functional.gelu(self.conv1(input_features))
        embedded = functional.gelu(self.conv2(embedded)).permute(0, 2, 1)  # [B, T, D]
        hidden = embedded + self.embed_positions.weight[: embedded.shape[1]]
        hidden = functional.dropout(hidden, p=self.dropout, training=self.training)
        for layer in self.layers:
            hidden = layer(hidden, None)
        return BaseModelOutput(last_hidden_state=self.layer_norm(hidden))


class WhisperEncoderModel(WhisperPreTrainedModel):  # type: ignore[no-untyped-call] # transformers is untyped
    """The encoder alone, named as in the whole model."""

    _keys_to_ignore_on_load_unexpected = [r"decoder", r"proj_out"]  # noqa: RUF012 - as transformers has it

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.encoder = _AnyLengthEncoder(config)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_features: Tensor, **_: Any) -> BaseModelOutput:  # noqa: ANN401
        found: BaseModelOutput = self.encoder(input_features)
        return found


_OURS = {"WhisperEncoderModel": WhisperEncoderModel}


def family_of(module: nn.Module) -> Family:
    """The family of a loaded backbone."""
    config = getattr(module, "config", None)
    return FAMILIES[config.model_type] if config is not None else TIMM


def model_class(config: Any) -> Any:  # noqa: ANN401 - transformers is untyped
    """The class of the bare model for a configuration object."""
    name = FAMILIES[config.model_type].model
    if name is None:
        return MODEL_MAPPING[type(config)]
    return _OURS.get(name) or getattr(transformers, name)


def call(module: nn.Module, tensors: Mapping[str, Tensor]) -> Any:  # noqa: ANN401
    """One forward pass, up to and with the last hidden state: what transformers gives, or the features of a timm model."""
    features = getattr(module, "forward_features", None)
    return module(**tensors) if features is None else features(**tensors)


def last_hidden(output: Any) -> Tensor:  # noqa: ANN401
    """Of what `call` gave."""
    hidden: Tensor = output if isinstance(output, Tensor) else output.last_hidden_state
    return hidden


def pooled_output(output: Any) -> Tensor | None:  # noqa: ANN401
    """The model's own vector for each example, [B, D], of what `call` gave; None when it makes none."""
    pooled = None if isinstance(output, Tensor) else getattr(output, "pooler_output", None)
    return pooled.flatten(1) if isinstance(pooled, torch.Tensor) else None
