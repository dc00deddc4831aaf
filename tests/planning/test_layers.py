"""Names of layers."""

from __future__ import annotations

import pytest

from headstart.errors import BadInput, Fault
from headstart.planning.layers import resolve_layer
from tests.planning.factories import anatomy


@pytest.mark.parametrize("name", ["encoder.layer.4", "bert.encoder.layer.4", "model.encoder.layer.4"])
def test_a_family_prefix_is_taken_off(name):
    assert resolve_layer(name, anatomy()) == "encoder.layer.4"


def test_the_prefix_of_xlm_roberta_is_roberta():
    assert resolve_layer("roberta.encoder.layer.4", anatomy(model_type="xlm-roberta", architecture="XLMRobertaModel")) == "encoder.layer.4"


def test_no_name_means_the_last_hidden_state():
    assert resolve_layer(None, anatomy()) == "encoder.layer.5"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("encoder.layr.4", "Did you mean 'encoder.layer.4' or 'encoder.layer.5' or 'encoder.layer.3'?"),
        ("bert.poler", "Did you mean 'pooler'?"),
        (
            "zzz",
            "Layers are: embeddings, encoder.layer.0, encoder.layer.1, encoder.layer.2, encoder.layer.3, encoder.layer.4, encoder.layer.5, pooler.",
        ),
        ("gpt.encoder.layer.4", "Did you mean 'encoder.layer.4' or 'encoder.layer.5' or 'encoder.layer.3'?"),
    ],
)
def test_a_layer_that_is_not_there_is_refused_with_the_closest(name, hint):
    with pytest.raises(BadInput) as caught:
        resolve_layer(name, anatomy())
    message = f"The backbone has no layer '{name}'."
    assert (caught.value.code, caught.value.message, caught.value.hint) == ("layer_not_found", message, hint)
    assert list(caught.value.faults) == [Fault("/method/layer", message)]
