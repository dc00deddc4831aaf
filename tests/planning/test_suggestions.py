"""What is suggested for a dataset, and what it is warned of."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from headstart.planning.suggestions import suggest
from headstart.specs.datasets import ColumnProfile, Duplicates
from headstart.specs.suggestions import Suggestions
from headstart.specs.tasks import Task
from tests.planning.factories import column, dataset

REVIEW = column("review")
LABEL = column("label", {"neg": 970, "pos": 1030})
SPLIT = column("split", {"train": 1500, "test": 500})


def suggested(*columns: ColumnProfile, rows: int = 2000, **profile: Any) -> Suggestions:
    return suggest(dataset(*columns, rows=rows).model_copy(update=profile))


def tasks(found: Suggestions) -> list[tuple[str, str | None, dict[str, str], str | list[str]]]:
    return [(each.task.type, each.task.problem, each.task.inputs, each.task.target) for each in found.tasks]


def warned(found: Suggestions) -> dict[str, str]:
    return {each.code: each.message for each in found.warnings}


def test_a_text_and_a_label_are_a_task_to_paste():
    found = suggested(REVIEW, LABEL)
    assert tasks(found) == [("text-classification", "single-label", {"text": "review"}, "label")]
    assert (found.tasks[0].reason, found.tasks[0].confidence) == ("2 labels in 2,000 rows.", 0.85)
    assert TypeAdapter(Task).validate_python(found.tasks[0].task.model_dump()).target == "label"
    assert (found.split_column, found.group_column, found.warnings) == (None, None, [])
    assert [(each.column, each.type) for each in found.types] == [("review", "text"), ("label", "category")]


KINDS = {
    "several labels": (column("topics", {"a": 900, "b": 1500}, type="categories"), "text-classification", "multi-label"),
    "a number": (column("price", type="number", distinct=300, longest=6, mean_length=4.0), "text-classification", "regression"),
    "a short text with the name of labels": (column("label", {"a": 3, "b": 3}, type="text"), "text-classification", "single-label"),
}


@pytest.mark.parametrize("case", KINDS)
def test_the_target_says_the_problem(case):
    target, kind, problem = KINDS[case]
    assert tasks(suggested(REVIEW, target)) == [(kind, problem, {"text": "review"}, target.name)]


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_files_are_read_before_texts(kind):
    found = suggested(REVIEW, column("file", type=kind, distinct=1990), LABEL)
    assert [each[0] for each in tasks(found)] == [f"{kind}-classification", "text-classification"]
    assert tasks(found)[0][2] == {kind: "file"}
    assert [each.task.name for each in found.tasks] == ["label", "label-2"]


def test_tags_belong_to_tokens_or_to_a_text():
    tags, tokens = column("tags", {"O": 9000, "B-PER": 40}, type="tags"), column("words", type="tokens")
    assert tasks(suggested(tokens, tags)) == [("token-classification", None, {"tokens": "words"}, "tags")]
    assert tasks(suggested(REVIEW, tags)) == [("token-classification", None, {"text": "review"}, "tags")]


def test_several_columns_of_0_and_1_are_labels_together():
    columns = [column(name, {"0": 1500, "1": 500}) for name in ("toxic", "insult", "threat")]
    found = suggested(REVIEW, *columns)
    assert tasks(found)[0] == ("text-classification", "multi-label", {"text": "review"}, ["toxic", "insult", "threat"])
    assert len(found.tasks) == 4
    assert len(suggested(REVIEW, *columns[:2]).tasks) == 2


def test_what_is_called_a_label_comes_first():
    found = suggested(REVIEW, column("weekday", {"mon": 1000, "tue": 1000}), column("mainTopic", {"a": 1000, "b": 1000}))
    assert [each.task.target for each in found.tasks] == ["mainTopic", "weekday"]
    assert found.tasks[0].confidence > found.tasks[1].confidence


def test_a_column_that_says_the_split_is_no_target():
    found = suggested(REVIEW, LABEL, SPLIT, split_column="split")
    assert found.split_column is not None
    assert (found.split_column.column, found.split_column.confidence) == ("split", 0.95)
    assert found.split_column.reason == "It holds nothing else: 1,500 train, 0 validation, 500 test."
    assert [each.task.target for each in found.tasks] == ["label"]


def test_a_split_in_other_words_is_warned_of_and_not_suggested():
    found = suggested(REVIEW, LABEL, column("split", {"train": 1500, "val": 500}))
    assert found.split_column is None
    assert warned(found) == {"odd_splits": "The column 'split' holds 'val'; a split column holds train, validation and test."}


def test_rows_that_belong_together_are_a_group_and_no_target():
    found = suggested(
        REVIEW, LABEL, column("user_id", distinct=250, longest=9, mean_length=8.0), column("speakers", {"a": 1000, "b": 1000})
    )
    assert found.group_column is not None
    assert (found.group_column.column, found.group_column.confidence) == ("user_id", 0.7)
    assert "8.0 to each of 250 values" in found.group_column.reason


def test_an_id_is_neither_read_nor_learnt_and_is_warned_of():
    found = suggested(column("id", type="number", distinct=2000, longest=4, mean_length=4.0), REVIEW, LABEL)
    assert tasks(found) == [("text-classification", "single-label", {"text": "review"}, "label")]
    assert warned(found) == {
        "as_many_values_as_rows": "The column 'id' has as many different values as rows: "
        "it is a quantity, which regression can learn, or an id."
    }


@pytest.mark.parametrize("kind", ["number", "text"])
def test_a_target_with_as_many_values_as_rows_is_warned_of(kind):
    target = column("label", type=kind, distinct=2000, longest=20, mean_length=12.0)
    assert set(warned(suggested(REVIEW, target))) == {"as_many_values_as_rows"}


def test_labels_that_differ_in_case_only_are_warned_of():
    found = suggested(REVIEW, column("label", {"Pos": 500, "pos": 500, "neg": 500, "ｎｅｇ": 500}))
    assert "'Pos' and 'pos'; 'neg' and 'ｎｅｇ'" in warned(found)["similar_labels"]


def test_a_column_that_is_nearly_always_the_same_is_warned_of():
    found = suggested(REVIEW, LABEL, column("source", {"web": 1985, "app": 15}))
    assert warned(found) == {"near_constant": "The column 'source' holds 'web' in 1,985 of 2,000 rows."}


def test_a_class_that_is_in_test_alone_is_warned_of():
    label = LABEL.model_copy(update={"split_values": {"train": {"pos": 5}, "test": {"pos": 1, "neg": 1, "odd": 1}}})
    message = "Labels of the column 'label' are in test and not in train: 'neg', 'odd'. No model can learn them."
    assert warned(suggested(REVIEW, label, SPLIT, split_column="split")) == {"class_only_in_test": message}


def test_the_same_text_in_train_and_test_is_warned_of():
    repeated = Duplicates(rows=9, across_splits={"validation-train": 0, "test-train": 7, "test-validation": 0}, exact=True)
    found = suggested(REVIEW.model_copy(update={"duplicates": repeated}), LABEL, SPLIT, split_column="split")
    assert "7 rows of test in train" in warned(found)["duplicates_across_splits"]


def test_numbers_with_the_name_of_labels_may_be_classes():
    found = suggested(REVIEW, column("rating", {"1": 3, "2": 4, "3": 2}, type="number"))
    assert [(each.type, each.confidence) for each in found.types] == [("text", 0.9), ("category", 0.6)]


def test_rare_and_single_labels_make_a_task_less_likely():
    few = suggested(REVIEW, column("label", {"a": 1998, "b": 2}))
    assert (few.tasks[0].confidence, few.tasks[0].reason) == (0.65, "2 labels in 2,000 rows, 1 of them in fewer than 3.")
    assert suggested(REVIEW, column("label", {"a": 2000})).tasks[0].confidence == 0.05


def test_an_empty_dataset_suggests_nothing():
    found = suggested(column("text", missing=3, distinct=0), column("label", {}, missing=3), rows=3)
    assert (found.tasks, found.split_column, found.group_column) == ([], None, None)
    assert [each.reason for each in found.types] == ["It is empty in every row."] * 2


def test_names_of_tasks_are_those_that_a_job_takes():
    odd = suggested(REVIEW, column("Étiquette (finale)", {"a": 9, "b": 9}), column("标签", {"a": 9, "b": 9}))
    adapter = TypeAdapter(Task)
    for each in odd.tasks:
        adapter.validate_python(each.task.model_dump())
