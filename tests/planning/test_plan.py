"""Plans: what a spec comes to, and every reason to refuse one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from headstart.errors import BadInput, Fault
from headstart.planning.classes import ordered_classes
from headstart.planning.comparing import FIT_SECONDS, READ_SECONDS
from headstart.specs.backbones import ImageInput
from headstart.specs.datasets import DatasetProfile
from tests.planning.factories import HARDWARE, anatomy, column, dataset


def test_the_plan_of_plain_feature_extraction(plan):
    made = plan()
    assert (made.method, made.boundary, made.dtype, made.batch_tokens) == ("feature-extraction", "encoder.layer.5", "auto", 1024)
    assert made.trainable.model_dump() == {"parameters": 0, "tensors": 0, "names": []}
    assert made.rows.model_dump() == {"train": 1400, "validation": 200, "test": 400, "dropped": 0}
    assert [task.model_dump() for task in made.tasks] == [
        {
            "name": "label",
            "type": "text-classification",
            "dataset": "reviews",
            "problem": "single-label",
            "classes": ["neg", "pos"],
            "scheme": None,
            "features": [],
            "head_parameters": 770,
            "labelled_rows": 2000,
        }
    ]
    assert made.cache.model_dump() == {
        "mode": "cached",
        "reason": "fits the budget",
        "bytes": 2000 * 384 * 4,
        "dtype": "float32",
        "hit_fraction": 0.0,
    }
    assert made.warnings == []


def test_the_estimate_follows_the_measured_rate_and_the_boundary(plan):
    whole, half, slow = (
        plan(**overrides).estimate.preparing_seconds
        for overrides in ({}, {"method": {"layer": "encoder.layer.2"}}, {"training": {"dtype": "float32"}})
    )
    # 2,000 rows of 32 tokens through six layers at 44 % of 4e11, plus a start
    assert whole == pytest.approx(0.4 + 2000 * 32 * 6 * 3.6e6 / (0.44 * 4e11), abs=0.01)
    assert half < whole < slow


@pytest.mark.parametrize("hardware", [None, HARDWARE.model_copy(update={"flops_per_second": {}})])
def test_a_plan_is_made_before_any_worker_was_measured(plan, hardware):
    assert plan(hardware=hardware).estimate.preparing_seconds > plan().estimate.preparing_seconds


def test_steps_of_a_head_cost_by_their_number(plan):
    few, many = (
        plan(method={"head": {"type": "linear", "solver": None}}, training={"epochs": epochs}).estimate.training_seconds
        for epochs in (10, 20)
    )
    assert many == pytest.approx(2 * few, rel=0.1)
    assert plan(training={"epochs": 20}).estimate.training_seconds == plan(training={"epochs": 10}).estimate.training_seconds


def test_memory_is_that_of_the_whole_process(plan):
    assert plan().estimate.peak_memory_bytes > 1_000_000_000


def test_the_artifact_is_estimated_from_the_head_alone(plan):
    assert plan().estimate.artifact_bytes == 770 * 4 + 6 + 4096


def test_features_beyond_the_budget_are_recomputed(plan):
    cache = plan(budget=1000).cache
    assert (cache.mode, cache.reason) == ("recomputed", "needs 3,072,000 bytes, and the budget is 1,000")


def test_one_batch_holds_at_least_one_longest_text(plan):
    assert plan(backbone=anatomy(max_tokens=8192)).batch_tokens == 8192
    assert plan(backbone=anatomy(max_tokens=8192), training={"max_tokens": 128}).batch_tokens == 1024


@pytest.mark.parametrize("method", [{"pooling": "pooler"}, {"pooling": "pooler", "layer": "encoder.layer.5"}])
def test_the_pooler_reads_the_last_hidden_state(plan, method):
    assert plan(method=method).boundary == "encoder.layer.5"


def test_the_output_of_the_pooler_is_a_layer_too(plan):
    made = plan(method={"layer": "bert.pooler"})
    assert (made.boundary, made.tasks[0].head_parameters) == ("pooler", 770)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "9", "-1", "09"], ["-1", "09", "9", "10"]),
        (["b", "10", "9"], ["10", "9", "b"]),
        (["é", "Z", "a"], ["Z", "a", "é"]),
    ],
)
def test_classes_are_sorted_by_text_or_all_by_number(labels, expected):
    assert ordered_classes(dict.fromkeys(labels, 3)) == expected


def test_rows_without_a_label_are_dropped(plan):
    made = plan(dataset(column("review"), column("label", {"a": 900, "b": 1000}, missing=100)))
    assert made.rows.model_dump() == {"train": 1330, "validation": 190, "test": 380, "dropped": 100}
    assert made.tasks[0].labelled_rows == 1900
    assert made.warnings[0].model_dump() == {
        "code": "rows_dropped",
        "pointer": None,
        "message": "100 of 2,000 rows are left out: they have no input, no label or no split.",
    }


def test_rows_without_a_text_are_dropped_in_proportion(plan):
    made = plan(dataset(column("review", missing=200), column("label", {"a": 1000, "b": 1000})))
    assert made.rows.model_dump() == {"train": 1260, "validation": 180, "test": 360, "dropped": 200}
    assert made.warnings[0].message.endswith("Rows of each split are estimates until the inputs are read.")


def split(counts: dict[str, int], rows: int = 2000, **overrides: Any) -> DatasetProfile:
    return dataset(column("review"), column("label", {"neg": 970, "pos": 1030}), column("part", counts, **overrides), rows=rows)


def test_the_users_split_is_taken_as_it_is(plan):
    made = plan(split({"train": 1500, "validation": 100, "test": 400}), evaluation={"split_column": "part"})
    assert made.rows.model_dump() == {"train": 1500, "validation": 100, "test": 400, "dropped": 0}


def test_validation_is_carved_out_of_train_when_the_split_has_none(plan):
    made = plan(split({"train": 1600, "test": 400}), evaluation={"split_column": "part"})
    assert made.rows.model_dump() == {"train": 1440, "validation": 160, "test": 400, "dropped": 0}


def test_rows_without_a_split_are_dropped(plan):
    made = plan(split({"train": 1500, "validation": 100, "test": 300}, missing=100), evaluation={"split_column": "part"})
    assert made.rows.model_dump() == {"train": 1500, "validation": 100, "test": 300, "dropped": 100}


def test_a_class_may_be_small_under_the_users_split(plan):
    profile = dataset(column("review"), column("label", {"a": 1999, "b": 1}), column("part", {"train": 1000, "test": 1000}))
    assert plan(profile, evaluation={"split_column": "part"}).tasks[0].classes == ["a", "b"]


def test_a_small_test_split_is_warned_of(plan):
    made = plan(dataset(column("review"), column("label", {"a": 50, "b": 50}), rows=100))
    assert made.warnings[0].model_dump() == {
        "code": "few_rows",
        "pointer": "/evaluation/test_size",
        "message": "The test split has 20 rows; its metrics can be some points off by chance.",
    }


def test_texts_that_will_be_cut_are_warned_of(plan):
    made = plan(training={"max_tokens": 128})
    assert made.warnings[0].model_dump() == {
        "code": "truncated",
        "pointer": "/training/max_tokens",
        "message": "The longest text has 900 characters; what goes beyond 128 tokens is not read.",
    }


def test_classes_that_look_alike_are_warned_of_and_stay_apart(plan):
    made = plan(dataset(column("review"), column("label", {"Cat": 700, "cat": 700, "c\u200bat": 600})))
    assert made.tasks[0].classes == ["Cat", "cat", "c\u200bat"]
    assert made.warnings[0].model_dump() == {
        "code": "similar_labels",
        "pointer": "/tasks/0/target",
        "message": r"Classes that look alike stay apart: 'Cat' and 'cat'; 'Cat' and 'c\u200bat'.",
    }


IMAGES = ImageInput(size=(224, 224), resize=[256], interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
TEXT, TARGET, SPLIT = "/tasks/0/inputs/text", "/tasks/0/target", "/evaluation/split_column"
SPLIT_HINT = "A split column holds train, validation and test; validation may be left out. Without split_column rows are split by seed."
SMALL_HINT = "Each class needs at least 3 rows: to train, to validate and to test. Add rows of it, or take these out."
LABELS_HINT = "Columns that look like labels: label."
review, label = column("review"), column("label", {"neg": 970, "pos": 1030})
many = column("id", distinct=2000, longest=4)

TEN_SMALL = ", ".join(f"'c{number:02}' (1)" for number in range(10))

REFUSALS: dict[str, tuple[dict[str, Any], tuple[str, str, str, str | None]]] = {
    "no text column": (
        {"inputs": {"text": "txt"}},
        ("column_not_found", TEXT, "The dataset has no column 'txt'.", "Columns are: review, label."),
    ),
    "misspelt text column": (
        {"inputs": {"text": "reviews"}},
        ("column_not_found", TEXT, "The dataset has no column 'reviews'.", "Columns are: review, label. Did you mean 'review'?"),
    ),
    "no target column": (
        {"target": "zzz"},
        ("column_not_found", TARGET, "The dataset has no column 'zzz'.", "Columns are: review, label."),
    ),
    "no split column": (
        {"evaluation": {"split_column": "zzz"}},
        ("column_not_found", SPLIT, "The dataset has no column 'zzz'.", "Columns are: review, label."),
    ),
    "target is the input": (
        {"target": "review"},
        ("invalid_field", TARGET, "The column 'review' is both the input and the target.", LABELS_HINT),
    ),
    "an empty text column": (
        {"profile": dataset(column("review", missing=2000), label)},
        ("invalid_field", TEXT, "The column 'review' is empty in every row.", None),
    ),
    "too many labels": (
        {"profile": dataset(review, label, many), "target": "id"},
        (
            "invalid_field",
            TARGET,
            "The column 'id' has a value of its own in every row, so that no class could be learnt from others' rows.",
            f"It looks like an id. {LABELS_HINT}",
        ),
    ),
    "texts as labels, and no other column": (
        {"profile": dataset(column("title"), review), "target": "title"},
        ("invalid_field", TARGET, "The column 'title' has texts too long to be labels.", "Columns are: title, review."),
    ),
    "labels as quantities": (
        {"profile": dataset(review, label), "problem": "regression"},
        (
            "invalid_field",
            TARGET,
            "The column 'label' holds category, and a regression learns numbers.",
            "Choose a column of numbers, or leave problem out.",
        ),
    ),
    **{
        f"{kind} as the target": (
            {"profile": dataset(review, column("label", {"a": 1000, "b": 1500}, type=kind))},
            (
                "invalid_field",
                TARGET,
                f"The column 'label' holds {words}, and text-classification learns labels or numbers.",
                "Columns are: review, label.",
            ),
        )
        for kind, words in (("tokens", "lists of words"), ("tags", "lists of tags"))
    },
    **{
        f"{kind} as the text": (
            {"profile": dataset(column("review", type=kind), column("other"), label)},
            (
                "invalid_field",
                "/tasks/0/inputs/text",
                f"The column 'review' holds {kind}; text-classification needs text.",
                "Columns that do: other, label.",
            ),
        )
        for kind in ("tokens", "tags")
    },
    "one class": (
        {"profile": dataset(review, column("label", {"pos": 2000}))},
        ("too_few_classes", TARGET, "The column 'label' has one class, 'pos'.", "Classification needs at least two classes."),
    ),
    "no labels": (
        {"profile": dataset(review, column("label", {}, missing=2000))},
        ("too_few_classes", TARGET, "The column 'label' is empty in every row.", "Classification needs at least two classes."),
    ),
    "a small class": (
        {"profile": dataset(review, column("label", {"a": 1000, "odd": 2}))},
        ("class_too_small", TARGET, "A class has fewer than 3 rows: 'odd' (2).", SMALL_HINT),
    ),
    "small classes": (
        {"profile": dataset(review, column("label", {"a": 1000, "b": 3, "odd": 2, "rare": 1}))},
        ("class_too_small", TARGET, "2 classes have fewer than 3 rows: 'rare' (1), 'odd' (2).", SMALL_HINT),
    ),
    "many small classes": (
        {"profile": dataset(review, column("label", {f"c{number:02}": 1 for number in range(12)}))},
        (
            "class_too_small",
            TARGET,
            f"12 classes have fewer than 3 rows: {TEN_SMALL} and 2 more.",
            SMALL_HINT,
        ),
    ),
    "no rows left to train": (
        {"evaluation": {"validation_size": 0.5, "test_size": 0.5}},
        (
            "invalid_field",
            "/evaluation/test_size",
            "validation_size and test_size together leave no rows to train on.",
            "Let their sum be below 1.",
        ),
    ),
    "other words in the split column": (
        {"profile": split({"Train": 1600, "test": 400}), "evaluation": {"split_column": "part"}},
        ("invalid_field", SPLIT, "The column 'part' holds 'Train'.", SPLIT_HINT),
    ),
    "no test rows": (
        {"profile": split({"train": 2000}), "evaluation": {"split_column": "part"}},
        ("invalid_field", SPLIT, "The column 'part' has no test rows.", SPLIT_HINT),
    ),
    "a split column of texts": (
        {"profile": dataset(review, label, many), "evaluation": {"split_column": "id"}},
        ("invalid_field", SPLIT, "The column 'id' has 2,000 different values.", SPLIT_HINT),
    ),
    "the target as split column": (
        {"evaluation": {"split_column": "label"}},
        ("invalid_field", SPLIT, "The column 'label' is used by a task and cannot also say the split.", None),
    ),
    "no such layer": (
        {"method": {"layer": "encoder.layr.5"}},
        (
            "layer_not_found",
            "/method/layer",
            "The backbone has no layer 'encoder.layr.5'.",
            "Did you mean 'encoder.layer.5' or 'encoder.layer.4' or 'encoder.layer.3'?",
        ),
    ),
    "no pooler": (
        {"backbone": anatomy(has_pooler=False), "method": {"pooling": "pooler"}},
        ("invalid_field", "/method/pooling", "The backbone 'minilm-l6' has no pooler.", "Pooling may be mean, first or max."),
    ),
    "pooler above a lower layer": (
        {"method": {"pooling": "pooler", "layer": "encoder.layer.2"}},
        (
            "invalid_field",
            "/method/pooling",
            "The pooler reads the last hidden state, not the output of 'encoder.layer.2'.",
            "Leave layer out, or pool by mean, first or max.",
        ),
    ),
    "an image backbone": (
        {"backbone": anatomy(input=IMAGES)},
        (
            "invalid_field",
            "/backbone",
            "The backbone 'minilm-l6' takes image, and text-classification needs text.",
            "Choose a backbone whose modality is text.",
        ),
    ),
    "more tokens than the backbone takes": (
        {"training": {"max_tokens": 513}},
        (
            "invalid_field",
            "/training/max_tokens",
            "The backbone 'minilm-l6' takes at most 512 tokens, not 513.",
            "Leave max_tokens out to use all it takes.",
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_spec_that_cannot_be_carried_out_is_refused_with_the_field_and_what_to_do(plan, case):
    overrides, (code, pointer, message, hint) = REFUSALS[case]
    with pytest.raises(BadInput) as caught:
        plan(**overrides)
    error = caught.value
    assert (error.status, error.code, error.message, error.hint) == (422, code, message, hint)
    assert list(error.faults) == [Fault(pointer, message)]


def test_numbers_are_classes_when_the_spec_says_so(plan):
    made = plan(dataset(review, column("stars", {"0.5": 1000, "1.5": 1000}, type="number")), target="stars", problem="single-label")
    assert made.tasks[0].classes == ["0.5", "1.5"]


def test_a_plan_with_a_thousand_classes_takes_milliseconds(plan):
    profile = dataset(review, column("label", {f"class {number}": 10 for number in range(1000)}), rows=10_000)
    plan(profile)
    started = time.perf_counter()
    for _ in range(5):
        plan(profile)
    assert (time.perf_counter() - started) / 5 < 0.05


def test_several_layers_stand_side_by_side_in_forward_order(plan):
    made = plan(method={"layers": ["encoder.layer.4", "bert.embeddings", "encoder.layer.4"]})
    assert made.boundary == "embeddings+encoder.layer.4"
    assert made.tasks[0].head_parameters == 2 * (2 * 384 + 1)
    assert made.estimate.preparing_seconds == plan(method={"layer": "encoder.layer.4"}).estimate.preparing_seconds


@pytest.mark.parametrize(
    ("method", "pointer"),
    [
        ({"layers": ["encoder.layer.4", "encoder.layer.44"]}, "/method/layers/1"),
        ({"layer": "encoder.layer.1", "layers": ["encoder.layer.4"]}, "/method/layers"),
        ({"layers": ["encoder.layer.4", "encoder.layer.5"], "pooling": "pooler"}, "/method/pooling"),
    ],
)
def test_several_layers_that_cannot_be_are_refused_where_they_stand(plan, method, pointer):
    with pytest.raises(BadInput) as caught:
        plan(method=method)
    assert caught.value.faults[0].pointer == pointer


def test_evaluating_counts_the_baseline_unless_it_is_left_out(plan):
    seconds = [plan(evaluation={"baselines": wanted}).estimate.evaluating_seconds for wanted in (True, False)]
    # 1,400 + 600 texts are read, and two classes fitted on 1,400
    assert seconds[0] - seconds[1] == pytest.approx(2_000 * READ_SECONDS["text"] + 1_400 * 2 * FIT_SECONDS["single-label"], abs=2e-3)


TUNED = {"method": {"type": "fine-tuning", "top_layers": 1}}


def test_evaluating_counts_the_training_and_judging_of_the_other_folds(plan):
    """Of 2,000 rows 1,440 train, 160 validate and 400 test, in one split and in each of 5 folds."""
    one = plan(evaluation={"validation_size": 0.08}, **TUNED)
    five = plan(evaluation={"folds": 5}, **TUNED)
    assert one.rows == five.rows
    assert one.estimate.training_seconds == five.estimate.training_seconds
    expected = 5 * one.estimate.evaluating_seconds + 4 * one.estimate.training_seconds
    assert five.estimate.evaluating_seconds == pytest.approx(expected, abs=5e-3)


def test_folds_whose_features_are_not_kept_make_them_anew(plan):
    kept, anew = (plan(evaluation={"folds": 3}, budget=budget).estimate for budget in (2**30, 0))
    assert anew.evaluating_seconds - kept.evaluating_seconds == pytest.approx(2 * kept.preparing_seconds, abs=2e-3)


def test_by_time_each_fold_trains_on_a_block_of_rows_more_than_the_one_before(plan):
    days = dataset(column("review"), column("label", {"neg": 970, "pos": 1030}), column("day", type="number"))
    made = plan(profile=days, evaluation={"folds": 4, "time_column": "day", "baselines": False}, **TUNED).estimate
    assert (2 + 3 + 4) * made.training_seconds < made.evaluating_seconds < 12 * made.training_seconds
