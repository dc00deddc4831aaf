"""Plans of tasks that tag words: which tags there are and what they mean, what is refused, and what is told beforehand."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.errors import BadInput
from headstart.planning.plan import make_plan
from headstart.specs.datasets import ColumnProfile, DatasetProfile, RowProblem
from headstart.specs.jobs import JobSpec
from headstart.specs.plans import Plan
from tests.planning import factories

BIO = {"O": 9000, "B-PER": 400, "I-PER": 200, "B-LOC": 300}
IOBES = {"O": 9000, "S-PER": 400, "B-LOC": 100, "E-LOC": 100}
NOUNS = {"NOUN": 400, "VERB": 300, "O": 7}
TOKENS = {"type": "token-classification", "inputs": {"tokens": "tokens"}, "target": "tags"}
SPANS = {"type": "token-classification", "inputs": {"text": "review"}, "target": "spans"}
LABEL = {"type": "text-classification", "inputs": {"text": "review"}, "target": "label"}


def profile(tags: dict[str, int] | None = None, **overrides: Any) -> DatasetProfile:
    columns = [
        factories.column("tokens", type="tokens", mean_length=170.0),
        factories.column("tags", tags or BIO, type="tags"),
        factories.column("review"),
        factories.column("spans", {"PER": 40, "LOC": 30}, type="tags"),
        factories.column("label", {"neg": 970, "pos": 1030}),
    ]
    return factories.dataset(*columns).model_copy(update=overrides)


def plan(*tasks: dict[str, Any], data: DatasetProfile | None = None, **options: Any) -> Plan:
    body = {"backbone": "minilm-l6", "dataset": "reviews", "tasks": list(tasks), **options}
    spec = JobSpec.model_validate(body).resolved()
    return make_plan(spec, data or profile(), factories.anatomy(), factories.HARDWARE, cache_budget_bytes=1 << 40)


@pytest.mark.parametrize(
    ("tags", "scheme", "classes", "meant"),
    [
        (BIO, None, ["O", "B-LOC", "B-PER", "I-PER"], "BIO"),
        (IOBES, None, ["O", "B-LOC", "E-LOC", "S-PER"], "IOBES"),
        ({"O": 9, "B-X": 3, "M-X": 1, "E-X": 3, "S-X": 2}, None, ["O", "B-X", "E-X", "M-X", "S-X"], "IOBES"),
        ({"O": 9, "B": 3, "I": 1}, None, ["O", "B", "I"], "none"),
        (NOUNS, None, ["O", "NOUN", "VERB"], "none"),
        (BIO, "none", ["O", "B-LOC", "B-PER", "I-PER"], "none"),
        (BIO, "IOBES", ["O", "B-LOC", "B-PER", "I-PER"], "IOBES"),
        ({"O": 3, "B-X": 2, "NOUN": 4}, None, ["O", "B-X", "NOUN"], "none"),
    ],
)
def test_scheme_is_found_from_the_tags_and_o_stands_first(tags, scheme, classes, meant):
    task = plan({**TOKENS, "scheme": scheme}, data=profile(tags)).tasks[0]
    assert (task.classes, task.scheme, task.problem) == (classes, meant, "single-label")


def test_spans_are_tagged_in_bio_unless_iobes_is_asked_for():
    assert plan(SPANS).tasks[0].classes == ["O", "B-LOC", "B-PER", "I-LOC", "I-PER"]
    assert len(plan({**SPANS, "scheme": "IOBES"}).tasks[0].classes) == 9


def test_cache_holds_every_token_and_the_head_is_as_wide_as_one():
    words, pooled = plan(TOKENS), plan(LABEL)
    assert words.tasks[0].head_parameters == 4 * (384 + 1)
    tokens_of_a_row = words.cache.bytes / (4 * 384 * 2000)
    assert 20 < tokens_of_a_row < 40  # of 170 characters with quotes and commas
    assert pooled.cache.bytes == 2000 * 384 * 4
    assert words.cache.dtype == "float32"
    assert words.estimate.training_seconds > pooled.estimate.training_seconds


def test_token_classification_beside_a_label_of_the_whole_text_is_pooled_by_the_mean():
    spec = {"backbone": "b", "dataset": "d"}
    alone, both = (JobSpec.model_validate({**spec, "tasks": tasks}) for tasks in ([SPANS], [{**SPANS, "name": "who"}, LABEL]))
    assert (alone.resolved().method.pooling, both.resolved().method.pooling) == ("none", "mean")
    made = plan({**SPANS, "name": "who"}, LABEL)
    assert [(task.scheme, len(task.classes)) for task in made.tasks] == [("BIO", 5), (None, 2)]


def without(column: str) -> DatasetProfile:
    return DatasetProfile(rows=2000, columns=[each for each in profile().columns if each.name != column], problems=[], problem_count=0)


def changed(name: str, **update: Any) -> DatasetProfile:
    def of(column: ColumnProfile) -> ColumnProfile:
        return column.model_copy(update=update) if column.name == name else column

    return profile(columns=[of(column) for column in profile().columns])


REFUSALS: dict[str, tuple[dict[str, Any], str, str]] = {
    "tokens and text": (
        {"tasks": [{**TOKENS, "inputs": {"tokens": "tokens", "text": "review"}}]},
        "/tasks/0/inputs",
        "Words come as tokens or within a text.",
    ),
    "neither": ({"tasks": [{**TOKENS, "inputs": {}}]}, "/tasks/0/inputs", "Words come as tokens or within a text."),
    "tokens that are text": (
        {"tasks": [{**TOKENS, "inputs": {"tokens": "review"}}]},
        "/tasks/0/inputs/tokens",
        "The column 'review' holds text, and tokens are lists of words.",
    ),
    "tags that are labels": (
        {"tasks": [{**TOKENS, "target": "label"}]},
        "/tasks/0/target",
        "The column 'label' holds category, and token classification learns lists of tags, or of spans.",
    ),
    "labels that are tags": (
        {"tasks": [{**LABEL, "target": "tags"}]},
        "/tasks/0/target",
        "The column 'tags' holds lists of tags, and text-classification learns labels or numbers.",
    ),
    "another scheme": (
        {"tasks": [{**TOKENS, "scheme": "BIO"}], "data": profile(IOBES)},
        "/tasks/0/scheme",
        "The column 'tags' has the tag 'E-LOC', which is none of BIO.",
    ),
    "spans without entities": (
        {"tasks": [{**SPANS, "scheme": "none"}]},
        "/tasks/0/scheme",
        "Spans are entities, and the scheme none tags each word by itself.",
    ),
    "one tag": ({"tasks": [TOKENS], "data": profile({"O": 9})}, "/tasks/0/target", "The column 'tags' has 2,000 rows and 'O'."),
    "no span": (
        {"tasks": [SPANS], "data": changed("spans", values={})},
        "/tasks/0/target",
        "The column 'spans' has 2,000 rows and no tags.",
    ),
    "too many tags": (
        {"tasks": [TOKENS], "data": changed("tags", values=None)},
        "/tasks/0/target",
        "The column 'tags' has too many different tags, or one of more than 100 characters.",
    ),
    "pooled words": (
        {"tasks": [TOKENS], "method": {"type": "feature-extraction", "pooling": "mean"}},
        "/method/pooling",
        "Token classification reads the vector of each word, and the pooling mean would make one vector of a text.",
    ),
    "whole texts unpooled": (
        {"tasks": [LABEL], "method": {"type": "feature-extraction", "pooling": "none"}},
        "/method/pooling",
        "The head of 'label' reads one vector, and the pooling none makes none.",
    ),
    "both by the pooler": (
        {"tasks": [{**SPANS, "name": "who"}, LABEL], "method": {"type": "feature-extraction", "pooling": "pooler"}},
        "/method/pooling",
        "Beside token classification texts are pooled from the vectors of their tokens, not by pooler.",
    ),
    "a layer without tokens": (
        {"tasks": [TOKENS], "method": {"type": "feature-extraction", "layer": "pooler"}},
        "/method/layer",
        "What 'pooler' gives is one vector for a text, and token classification needs one for each token.",
    ),
    "other columns": (
        {"tasks": [{**TOKENS, "name": "who"}, LABEL]},
        "/tasks/1/inputs",
        "The tasks 'who' and 'label' read other columns, and one pass of the backbone serves all.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_tagged_is_refused_in_a_sentence(case):
    options, pointer, message = REFUSALS[case]
    with pytest.raises(BadInput) as refused:
        plan(*options["tasks"], **{name: value for name, value in options.items() if name != "tasks"})
    assert (refused.value.faults[0].pointer, refused.value.message) == (pointer, message)


def test_what_reading_told_of_the_tags_is_told_again_with_the_rows():
    def problem(row: int, code: str, column: str = "tags") -> RowProblem:
        return RowProblem(row=row, column=column, code=code, message="…")

    found = [problem(17, "broken_scheme"), problem(4, "broken_scheme"), problem(9, "lengths_differ"), problem(1, "broken_scheme", "spans")]
    warnings = {each.code: each for each in plan(TOKENS, data=profile(problems=found, problem_count=4)).warnings}
    assert warnings["broken_scheme"].message.startswith("Rows with tags that break their scheme: 2, the first of them row 4.")
    assert warnings["broken_scheme"].pointer == "/tasks/0/target"
    assert "lengths_differ" in warnings
    more = {each.code: each for each in plan(TOKENS, data=profile(problems=found, problem_count=400)).warnings}
    assert more["lengths_differ"].message.startswith("Rows with not as many tags as words: 1 or more, the first")


def test_a_head_that_keeps_its_rows_keeps_words():
    made = plan(TOKENS, method={"type": "feature-extraction", "head": {"type": "knn"}})
    (warning,) = [each for each in made.warnings if each.code == "rows_kept"]
    assert "training words" in warning.message
    assert made.tasks[0].head_parameters > 10 * 1400 * 384
