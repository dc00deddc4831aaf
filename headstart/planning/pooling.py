"""What heads read of the backbone: which layers, and how vectors of tokens become what a head takes."""

from __future__ import annotations

from headstart.errors import invalid_field, quote
from headstart.planning.layers import resolve_layer
from headstart.specs.backbones import Anatomy, Layer
from headstart.specs.jobs import FeatureExtraction, JobSpec


def pooled_layers(spec: JobSpec, method: FeatureExtraction, anatomy: Anatomy) -> list[Layer]:
    """In forward order, each once."""
    if method.layers is None:
        return [_pooled_layer(spec, method.layer, anatomy, "/method/layer")]
    if method.layer is not None:
        raise invalid_field("/method/layers", "layer and layers are given at once.", "Name all in layers, and leave layer out.")
    named = [_pooled_layer(spec, name, anatomy, f"/method/layers/{number}") for number, name in enumerate(method.layers)]
    return sorted({layer.name: layer for layer in named}.values(), key=lambda layer: layer.index)


def _pooled_layer(spec: JobSpec, name: str | None, anatomy: Anatomy, pointer: str) -> Layer:
    layer = anatomy.layer(resolve_layer(name, anatomy, pointer))
    check_pooling(spec, layer, anatomy)
    if spec.pooling == "pooler" and layer.name not in {anatomy.default_layer, "pooler"}:
        message = f"The pooler reads the last hidden state, not the output of {quote(layer.name)}."
        raise invalid_field("/method/pooling", message, "Leave layer out, or pool by mean, first or max.")
    if reads_words(spec) and "T" not in layer.axes:
        message = f"What {quote(layer.name)} gives is one vector for a text, and token classification needs one for each token."
        raise invalid_field(pointer, message, f"Choose another layer, or leave it out for {quote(anatomy.default_layer)}.")
    return layer


def check_pooling(spec: JobSpec, layer: Layer, anatomy: Anatomy) -> None:
    if spec.pooling == "pooler" and not anatomy.has_pooler:
        raise invalid_field("/method/pooling", f"The backbone {quote(spec.backbone)} has no pooler.", "Pooling may be mean, first or max.")
    if spec.pooling == "flatten" and "T" in layer.output:
        message = f"What {quote(layer.name)} gives is as long as its input, and cannot be laid out as one vector."
        raise invalid_field("/method/pooling", message, "Pooling may be mean, first or max.")


def reads_words(spec: JobSpec) -> bool:
    return any(task.reads == "words" for task in spec.tasks)


def check_reads(spec: JobSpec) -> None:
    """See that the pooling suits what the heads read, and that beside words there are no pairs of texts."""
    examples = [task for task in spec.tasks if task.reads == "example"]
    if not examples and spec.pooling != "none":
        message = f"Token classification reads the vector of each word, and the pooling {spec.pooling} would make one vector of a text."
        raise invalid_field("/method/pooling", message, "Leave pooling out.")
    if examples and spec.pooling == "none":
        message = f"The head of {quote(examples[0].name)} reads one vector, and the pooling none makes none."
        raise invalid_field("/method/pooling", message, "Leave pooling out, or choose mean, first or max.")
    if examples and len(examples) < len(spec.tasks) and spec.pooling not in {"mean", "first", "max"}:
        message = f"Beside token classification texts are pooled from the vectors of their tokens, not by {spec.pooling}."
        raise invalid_field("/method/pooling", message, "Leave pooling out, or choose mean, first or max.")
    pair = next((number for number, task in enumerate(spec.tasks) if "text_pair" in task.inputs.given), None)
    if pair is not None and reads_words(spec):
        message = f"The task {quote(spec.tasks[pair].name)} reads pairs of texts, and a job with token classification reads single ones."
        raise invalid_field(f"/tasks/{pair}/inputs/text_pair", message, "Leave text_pair out, or learn the two in jobs of their own.")
