"""Plans of jobs whose tasks learn from different datasets."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.errors import BadInput
from headstart.planning.plan import make_plan
from headstart.planning.sources import Source
from headstart.specs.datasets import DatasetProfile
from headstart.specs.jobs import JobSpec
from headstart.specs.plans import Plan
from tests.planning import factories
from tests.planning.factories import column

REVIEWS = factories.dataset()
TWEETS = factories.dataset(
    column("tweet", mean_length=40.0),
    column("mood", {"sad": 100, "glad": 100, "mad": 100}),
    column("part", {"train": 200, "test": 100}),
    rows=300,
)
TASKS: list[dict[str, Any]] = [
    {"name": "label", "type": "text-classification", "inputs": {"text": "review"}, "target": "label"},
    {"name": "mood", "type": "text-classification", "inputs": {"text": "tweet"}, "target": "mood", "dataset": "tweets"},
]


def plan(*tasks: dict[str, Any], own: DatasetProfile = REVIEWS, named: dict[str, Source] | None = None, **overrides: Any) -> Plan:
    spec = JobSpec.model_validate({"backbone": "minilm-l6", "dataset": "reviews", "tasks": list(tasks or TASKS), **overrides})
    known = {"tweets": Source("tweets:3", TWEETS)} if named is None else named
    return make_plan(spec, own, factories.anatomy(), factories.HARDWARE, dataset="reviews:1", named=known, cache_budget_bytes=2**30)


def refused(*tasks: dict[str, Any], **overrides: Any) -> tuple[str, str | None, str]:
    with pytest.raises(BadInput) as caught:
        plan(*tasks, **overrides)
    (fault,) = caught.value.faults
    assert fault.message == caught.value.message
    return caught.value.code, fault.pointer, fault.message


def test_each_task_is_planned_on_its_own_dataset_and_rows_are_added_up():
    made = plan()
    assert [(task.dataset, task.classes, task.labelled_rows) for task in made.tasks] == [
        ("reviews:1", ["neg", "pos"], 2000),
        ("tweets:3", ["glad", "mad", "sad"], 300),
    ]
    alone = [plan(TASKS[0]).rows, plan({**TASKS[1]}).rows]
    assert (alone[1].train, alone[1].validation, alone[1].test) == (210, 30, 60)
    for part in ("train", "validation", "test", "dropped"):
        assert getattr(made.rows, part) == sum(getattr(each, part) for each in alone)
    assert made.relationship is not None
    assert made.relationship.value == "multi-task"


def test_the_estimate_is_of_the_rows_of_all_datasets_at_their_own_lengths():
    start = 0.4
    both, one, other = (plan(*tasks).estimate.preparing_seconds - start for tasks in (TASKS, TASKS[:1], TASKS[1:]))
    assert both == pytest.approx(one + other, abs=0.002)
    assert other < one * 300 / 2000  # tweets are shorter


def test_the_jobs_own_dataset_counts_only_where_a_task_learns_from_it():
    made = plan(TASKS[1])
    assert made.rows.train + made.rows.validation + made.rows.test == 300
    assert made.tasks[0].dataset == "tweets:3"


def test_two_references_to_one_dataset_are_one_dataset():
    again = {**TASKS[0], "name": "again", "dataset": "reviews:1"}
    made = plan(TASKS[0], again, named={"reviews:1": Source("reviews:1", REVIEWS)})
    assert made.rows == plan(TASKS[0]).rows
    other = {**again, "inputs": {"text": "title"}}
    own = factories.dataset(column("review"), column("title"), column("label", {"neg": 970, "pos": 1030}))
    code, pointer, message = refused(TASKS[0], other, own=own, named={"reviews:1": Source("reviews:1", own)})
    assert (code, pointer) == ("invalid_field", "/tasks/1/inputs")
    assert "read other columns" in message


def test_a_reference_that_nobody_knows_is_pointed_at():
    assert refused(named={}) == ("dataset_not_found", "/tasks/1/dataset", "There is no such dataset.")


@pytest.mark.parametrize(
    ("change", "code", "pointer", "message"),
    [
        ({"inputs": {"text": "review"}}, "column_not_found", "/tasks/1/inputs/text", "In 'tweets:3': The dataset has no column 'review'."),
        ({"target": "label"}, "column_not_found", "/tasks/1/target", "In 'tweets:3': The dataset has no column 'label'."),
        (
            {"name": "label"},
            "invalid_field",
            "/tasks/1/name",
            "Two tasks are called 'label'; answers and metrics are keyed by a task's name.",
        ),
    ],
    ids=str,
)
def test_a_column_is_looked_for_in_the_tasks_own_dataset(change, code, pointer, message):
    assert refused(TASKS[0], {**TASKS[1], **change}) == (code, pointer, message)


def test_of_one_dataset_no_message_needs_its_name():
    assert refused({**TASKS[0], "target": "nothing"})[2] == "The dataset has no column 'nothing'."


@pytest.mark.parametrize("field", ["split_column", "group_column", "time_column"])
def test_a_column_that_divides_rows_must_be_in_each_dataset(field):
    code, pointer, message = refused(evaluation={field: "part"})
    assert (code, pointer) == ("column_not_found", f"/evaluation/{field}")
    assert message == "In 'reviews:1': The dataset has no column 'part'."


def test_the_users_split_is_that_of_each_dataset():
    own = factories.dataset(*REVIEWS.columns, column("part", {"train": 1500, "validation": 100, "test": 400}))
    made = plan(own=own, evaluation={"split_column": "part"})
    assert (made.rows.train, made.rows.validation, made.rows.test) == (1500 + 180, 100 + 20, 400 + 100)


def test_what_is_said_of_rows_names_the_dataset_and_points_to_its_task():
    small = factories.dataset(
        column("tweet", missing=10, longest=90_000),
        column("mood", {"sad": 40, "glad": 60}),
        column("other", {"a": 30, "b": 30}, missing=40),
        rows=100,
    )
    more = {**TASKS[1], "name": "other", "target": "other"}
    warnings = {warning.code: warning for warning in plan(*TASKS, more, named={"tweets": Source("tweets:3", small)}).warnings}
    assert set(warnings) == {"few_rows", "rows_dropped", "labels_missing", "truncated"}
    assert {code: warning.pointer for code, warning in warnings.items()} == {
        "few_rows": "/tasks/1/dataset",
        "rows_dropped": "/tasks/1/dataset",
        "labels_missing": "/tasks/2/target",
        "truncated": "/tasks/1/dataset",
    }
    assert warnings["few_rows"].message.startswith("In 'tweets:3': The test split has 18 rows")
    assert warnings["labels_missing"].message == "40 of 100 rows have no label for 'other'; they count for the other tasks alone."


def test_pairs_of_texts_and_single_texts_learn_in_one_job():
    pairs = factories.dataset(column("a"), column("b"), column("same", {"no": 500, "yes": 500}), rows=1000)
    task = {"name": "same", "type": "text-classification", "inputs": {"text": "a", "text_pair": "b"}, "target": "same", "dataset": "pairs"}
    made = plan(TASKS[0], task, named={"pairs": Source("pairs:1", pairs)})
    assert [each.labelled_rows for each in made.tasks] == [2000, 1000]


def test_pairs_of_texts_beside_words_are_refused_in_words():
    pairs = factories.dataset(column("a"), column("b"), column("same", {"no": 500, "yes": 500}), rows=1000)
    words = factories.dataset(column("tokens", type="tokens"), column("tags", {"O": 900, "B-PER": 100}, type="tags"), rows=100)
    task = {"name": "same", "type": "text-classification", "inputs": {"text": "a", "text_pair": "b"}, "target": "same", "dataset": "pairs"}
    who = {"name": "who", "type": "token-classification", "inputs": {"tokens": "tokens"}, "target": "tags", "dataset": "words"}
    named = {"pairs": Source("pairs:1", pairs), "words": Source("words:1", words)}
    assert [each.labelled_rows for each in plan(TASKS[0], who, named=named).tasks] == [2000, 100]
    assert refused(who, task, named=named) == (
        "invalid_field",
        "/tasks/1/inputs/text_pair",
        "The task 'same' reads pairs of texts, and a job with token classification reads single ones.",
    )


def test_neighbours_must_be_there_in_each_dataset():
    method = {"type": "feature-extraction", "head": {"type": "knn", "k": 250}}
    assert plan(TASKS[0], method=method).rows.train == 1400
    assert refused(method=method)[:2] == ("invalid_field", "/method/head/k")


def test_a_warning_of_numbers_read_as_text_points_to_the_tasks_own_input():
    numbers = factories.dataset(column("tweet", type="number"), column("mood", {"sad": 150, "glad": 150}), rows=300)
    made = plan(named={"tweets": Source("tweets:3", numbers)})
    assert [warning.pointer for warning in made.warnings if warning.code == "numbers_as_text"] == ["/tasks/1/inputs/text"]


def test_evaluating_counts_the_training_of_each_task_alone_on_its_own_rows():
    method = {"type": "fine-tuning", "top_layers": 1}
    together, apart = (plan(method=method, evaluation={"single_task": wanted, "baselines": False}).estimate for wanted in (False, True))
    assert apart.evaluating_seconds == pytest.approx(2 * together.evaluating_seconds + together.training_seconds, rel=1e-3)
