"""Tiny backbones with random weights, for tests that need a family rather than a good model."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.utils import logging as transformers_logging

from headstart.engine.backbones import timm_models

MODEL_TYPES = ["bert", "roberta", "distilbert", "electra", "mpnet", "modernbert"]
"""The families that tests of one method go through."""

TEXT_TYPES = [*MODEL_TYPES, "albert", "deberta-v2", "xlm-roberta", "t5"]
IMAGE_TYPES = ["vit", "deit", "beit", "swin", "convnext", "resnet", "dinov2", "clip_vision_model"]
AUDIO_TYPES = ["wav2vec2", "hubert", "wavlm", "audio-spectrogram-transformer", "whisper"]
TIMM_TYPES = ["vgg16", "resnet50", "efficientnet_b0", "mobilenetv3_small_100", "vit_tiny_patch16_224"]

WIDTH, LAYERS, TOKENS, PIXELS = 32, 3, 64, 32
WORDS = ["good", "bad", "film", "book", "very", "not", "the", "is", "was", "great", "dull", "loved", "hated", "it", "plot", "and", "but"]
SPECIALS = {"cls_token": "[CLS]", "pad_token": "[PAD]", "sep_token": "[SEP]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
PADDING_ID = 1  # RoBERTa's positions begin after it

_BLOCKS = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 2 * WIDTH}
_IMAGES = {**_BLOCKS, "image_size": PIXELS, "patch_size": 8}
_SPEECH = {**_BLOCKS, "conv_dim": [16] * 4, "conv_kernel": [10, 8, 4, 4], "conv_stride": [5, 8, 4, 2], "num_conv_pos_embeddings": 16}
_SPEECH |= {"num_conv_pos_embedding_groups": 4, "num_feat_extract_layers": 4, "vocab_size": 32}
_STAGES = {"depths": [1, 1, 2], "hidden_sizes": [8, 16, WIDTH]}

SIZES: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": WIDTH // 2},
    "electra": {"embedding_size": WIDTH // 2},
    "roberta": {"max_position_embeddings": TOKENS + 2},
    "xlm-roberta": {"max_position_embeddings": TOKENS + 2},
    "mpnet": {"max_position_embeddings": TOKENS + 2},
    "deberta-v2": {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["c2p", "p2c"], "norm_rel_ebd": "layer_norm"},
    "vit": _IMAGES,
    "deit": _IMAGES,
    "beit": _IMAGES,
    "dinov2": {**_IMAGES, "mlp_ratio": 2},
    "clip_vision_model": _IMAGES,
    "swin": {"image_size": PIXELS, "patch_size": 4, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4},
    "convnext": {"image_size": PIXELS, "patch_size": 2, "num_stages": 3, **_STAGES},
    "resnet": {"embedding_size": 8, "layer_type": "basic", **_STAGES},
    "wav2vec2": _SPEECH,
    "hubert": _SPEECH,
    "wavlm": _SPEECH,
    "audio-spectrogram-transformer": {**_BLOCKS, "max_length": 48, "num_mel_bins": 32},
    "whisper": {
        "d_model": WIDTH,
        "encoder_layers": LAYERS,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 2 * WIDTH,
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 2 * WIDTH,
        "vocab_size": 64,
        "num_mel_bins": 80,
        "max_source_positions": 150,
        "max_target_positions": 16,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    },
}
"""What makes a family's configuration tiny."""

_PREPROCESSORS: dict[str, dict[str, Any]] = {
    **{each: {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True} for each in ("wav2vec2", "hubert", "wavlm")},
    "audio-spectrogram-transformer": {
        "feature_extractor_type": "ASTFeatureExtractor",
        "max_length": 48,
        "num_mel_bins": 32,
        "mean": -4.0,
        "std": 4.5,
    },
    "whisper": {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "chunk_length": 3},
}


def make_tiny_backbone(folder: Path, model_type: str = "bert", *, seed: int = 0, **overrides: Any) -> None:
    """Write a backbone of `LAYERS` layers, `WIDTH` wide, into `folder`: a family of transformers, or an architecture of timm for small images.

    Texts have at most `TOKENS` tokens, images `PIXELS` pixels each way. `overrides` change the configuration.
    """
    transformers_logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if model_type in TIMM_TYPES:
            _write_timm(folder, model_type)
            return
        text = model_type not in {*IMAGE_TYPES, *AUDIO_TYPES}
        config = CONFIG_MAPPING[model_type](**{**(_text_sizes(model_type) if text else SIZES[model_type]), **overrides})
        model = _class_of(config)(config)
    _give_norms_something(model, seed)
    model.save_pretrained(folder)
    if text:
        tiny_tokenizer().save_pretrained(folder)
    elif model_type in IMAGE_TYPES:
        size = {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": {"height": PIXELS, "width": PIXELS},
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
            "resample": 3,
        }
        (folder / "preprocessor_config.json").write_text(json.dumps(size))
    else:
        (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16000, **_PREPROCESSORS[model_type]}))


def _class_of(config: Any) -> Any:
    names = {"t5": "T5EncoderModel", "clip_vision_model": "CLIPVisionModel"}
    return getattr(transformers, names[config.model_type]) if config.model_type in names else MODEL_MAPPING[type(config)]


def _give_norms_something(model: torch.nn.Module, seed: int) -> None:
    """Norms over batches that have seen nothing do nothing; layer scales of 1e-5 hide what a layer does."""
    generator = torch.Generator().manual_seed(seed)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            buffer.uniform_(0.8, 1.2, generator=generator)


def _write_timm(folder: Path, architecture: str) -> None:
    model = timm_models.build(architecture, (PIXELS, PIXELS))
    _give_norms_something(model, 0)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    cfg = {"input_size": [3, PIXELS, PIXELS], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "crop_pct": 1.0}
    (folder / "config.json").write_text(json.dumps({"architecture": architecture, "num_classes": 0, "pretrained_cfg": cfg}))


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Every lower-case word is spelt out when it is not among `WORDS`."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    entries = [*SPECIALS.values(), *letters, *(f"##{letter}" for letter in letters), *WORDS]
    tokenizer = Tokenizer(models.WordPiece({entry: index for index, entry in enumerate(entries)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", entries.index("[CLS]")), ("[SEP]", entries.index("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=TOKENS, **SPECIALS)


def _text_sizes(model_type: str) -> dict[str, Any]:
    known = {"vocab_size": len(tiny_tokenizer()), "pad_token_id": PADDING_ID}
    if model_type == "distilbert":
        return {"dim": WIDTH, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 2 * WIDTH, "max_position_embeddings": TOKENS, **known}
    if model_type == "t5":
        return {"d_model": WIDTH, "num_layers": LAYERS, "num_heads": 2, "d_kv": WIDTH // 2, "d_ff": 2 * WIDTH, **known}
    return {**_BLOCKS, "max_position_embeddings": TOKENS, **known, **SIZES.get(model_type, {})}
