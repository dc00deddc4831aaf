"""What a configuration and a tokenizer may say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.engine.backbones.families import FAMILIES
from headstart.engine.backbones.trust import check_config, check_tokenizer, check_tokenizer_config
from headstart.errors import BadInput

BERT = {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "hidden_act": "gelu"}

DANGEROUS = [
    {"_attn_implementation_internal": "someone/kernel"},
    {"attn_implementation": "a/b"},
    {"_attn_implementation": "a/b"},
    {"quantization_config": {"load_in_4bit": True}},
    {"trust_remote_code": True},
    {"auto_map": {"AutoModel": "x.Y"}},
    {"custom_pipelines": {"x": {}}},
    {"text_config": {"model_type": "bert"}},
    {"inner": {"model_type": "bert"}},
    {"_name_or_path": "https://example.org/model"},
    {"anything": ["//example.org/x"]},
    {"use_kernels": True},
    {"backbone": "resnet18"},
    {"is_decoder": True},
    {"hidden_act": "some/kernel"},
    {"hidden_size": float("inf")},
    {"hidden_size": 10**12},
    {"num_hidden_layers": 100_000},
    {"rope_parameters": {}, "layer_norm_eps": {"a": 1}},
]


@pytest.mark.parametrize("keys", DANGEROUS, ids=lambda keys: next(iter(keys)))
def test_a_dangerous_configuration_is_refused_and_nothing_runs(keys: dict[str, Any], canaries: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        check_config({**BERT, **keys})
    assert caught.value.code == "config_refused"


def test_keys_that_do_not_describe_the_network_are_left_out() -> None:
    noise = {
        "architectures": ["BertModel"],
        "id2label": {"0": "a"},
        "_name_or_path": "org/name",
        "torch_dtype": "float16",
        "quantization_config": None,
    }
    assert check_config({**BERT, **noise, "return_dict": False, "output_hidden_states": True, "odd_key": 1}) == BERT


@pytest.mark.parametrize("model_type", ["llama", "lightglue", "../bert", None, 7, {"a": 1}])
def test_a_type_that_is_not_listed_is_refused_with_the_list(model_type: object) -> None:
    with pytest.raises(BadInput) as caught:
        check_config({**BERT, "model_type": model_type})
    assert caught.value.code == "config_refused"
    assert "modernbert" in str(caught.value)


def judged(config: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    try:
        return check_config(config), None
    except BadInput as error:
        return {}, error.code


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.text(max_size=12) | st.sampled_from(
    ["hidden_size", "rope_parameters", "layer_types", "auto_map", "pad_token_id", "vocab_size", "_x"]
)


@given(st.sampled_from(sorted(FAMILIES)), st.dictionaries(keys, json_values, max_size=5))
def test_any_configuration_is_refused_or_cut_down_to_itself(model_type: str, config: dict[str, Any]) -> None:
    whole = {**config, "model_type": model_type}
    kept, code = judged(whole)
    assert code in {None, "config_refused"}
    ours = FAMILIES[model_type].settings
    assert all(kept[key] == ours[key] if key in ours else key in whole and kept[key] is whole[key] for key in kept)
    assert code or judged(kept) == (kept, None)


def test_a_chat_template_never_reaches_the_tokenizer() -> None:
    config = {"chat_template": "{{ ''.__class__ }}", "tokenizer_class": "Evil", "pad_token": {"content": "[PAD]"}, "model_max_length": 1e30}
    assert check_tokenizer_config(config, {"sep_token": "[SEP]"}) == {"pad_token": "[PAD]", "sep_token": "[SEP]"}


@pytest.mark.parametrize("token", ["", "x" * 65, 7, ["[PAD]"]])
def test_a_special_token_is_a_short_text(token: object) -> None:
    with pytest.raises(BadInput) as caught:
        check_tokenizer_config({"pad_token": token}, {})
    assert caught.value.code == "tokenizer_refused"


def changed(change: Callable[[dict[str, Any]], None], source: Path, target: Path) -> Path:
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    change(tokenizer)
    path = target / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.update(added_tokens=[{"id": i, "content": f"x{i}"} for i in range(20_001)]),
        lambda t: t.update(added_tokens="many"),
        lambda t: t["model"].update(vocab={}),
        lambda t: t.pop("model"),
    ],
)
def test_a_tokenizer_out_of_bounds_is_refused(
    change: Callable[[dict[str, Any]], None], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as caught:
        check_tokenizer(changed(change, tiny("bert"), tmp_path))
    assert caught.value.code == "tokenizer_refused"


def test_a_vocabulary_that_names_a_token_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0, "a": 1}}}')
    with pytest.raises(BadInput) as caught:
        check_tokenizer(tmp_path / "tokenizer.json")
    assert caught.value.code == "tokenizer_refused"


def test_a_tokenizer_file_that_is_huge_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "tokenizer.json", "wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(BadInput) as caught:
        check_tokenizer(tmp_path / "tokenizer.json")
    assert caught.value.code == "tokenizer_refused"
