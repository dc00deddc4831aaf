"""Metrics are those of scikit-learn, scipy and seqeval, for rows as they are and for rows that count more than once."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.stats
from scipy.special import expit, softmax
from sklearn import metrics

from headstart.engine.evaluation import multi_label, regression, single_label, token_tags
from headstart.engine.evaluation.entities import entities
from headstart.engine.evaluation.resampling import values

TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def _repeated(measure, counts) -> dict[str, float]:
    return {name: float(value[0]) for name, value in measure(counts[None].astype(np.float32)).items()}


@pytest.mark.parametrize("most", [1, 3])
def test_single_label_metrics_are_those_of_scikit_learn(most: int):
    chance = np.random.default_rng(0)
    logits, targets = chance.normal(size=(80, 6)), chance.integers(5, size=80)
    counts = chance.integers(0 if most > 1 else 1, most + 1, size=80)  # how often each row counts
    rows = np.repeat(np.arange(80), counts)
    said, true = logits.argmax(axis=1)[rows], targets[rows]
    assert _repeated(single_label.measure(logits, targets), counts) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(true, said),
            "macro_f1": metrics.f1_score(true, said, average="macro"),
            "log_loss": metrics.log_loss(true, softmax(logits, axis=1)[rows], labels=range(6)),
        },
        rel=1e-6,
    )


@pytest.mark.parametrize("most", [1, 3])
def test_multi_label_metrics_are_those_of_scikit_learn(most: int):
    chance = np.random.default_rng(1)
    logits = chance.normal(size=(70, 5)).round(1)  # some scores are equal
    targets = expit(2 * logits + chance.normal(size=(70, 5))) > 0.7
    targets[:, 4] = False
    counts = chance.integers(0 if most > 1 else 1, most + 1, size=70)  # how often each row counts
    rows = np.repeat(np.arange(70), counts)
    decided = logits > 0.3
    said, true = decided[rows], targets[rows]
    occurs = [c for c in range(5) if (said | true)[:, c].any()]
    assert _repeated(multi_label.measure(logits, decided, targets), counts) == pytest.approx(
        {
            "micro_f1": metrics.f1_score(true, said, average="micro"),
            "macro_f1": metrics.f1_score(true, said, average="macro", labels=occurs, zero_division=0),
            "samples_f1": metrics.f1_score(true, said, average="samples", zero_division=1),
            "subset_accuracy": metrics.accuracy_score(true, said),
            "hamming_loss": metrics.hamming_loss(true, said),
            "mean_average_precision": metrics.average_precision_score(true[:, :4], logits[rows][:, :4], average="macro"),
        },
        rel=1e-6,
    )


@pytest.mark.parametrize("most", [1, 3])
def test_regression_metrics_are_those_of_scikit_learn_and_scipy(most: int):
    chance = np.random.default_rng(2)
    targets = (chance.normal(size=60) * 3 + 1e6).round(1)
    predicted = (targets + chance.normal(size=60)).round(1)
    counts = chance.integers(0 if most > 1 else 1, most + 1, size=60)  # how often each row counts
    rows = np.repeat(np.arange(60), counts)
    said, true = predicted[rows], targets[rows]
    assert _repeated(regression.measure(predicted, targets), counts) == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(true, said),
            "rmse": metrics.root_mean_squared_error(true, said),
            "r2": metrics.r2_score(true, said),
            "pearson": scipy.stats.pearsonr(said, true).statistic,
            "spearman": scipy.stats.spearmanr(said, true).statistic,
        },
        rel=1e-6,
    )


def test_correlation_is_the_same_in_any_unit():
    chance = np.random.default_rng(3)
    targets = chance.normal(size=60)
    predicted = targets + 0.1 * chance.normal(size=60)
    found = [values(regression.measure(predicted * unit, targets * unit), 60) for unit in (1e-9, 1.0, 1e9)]
    assert [each["pearson"] for each in found] == pytest.approx([found[1]["pearson"]] * 3)


def test_what_a_constant_leaves_undefined_is_left_out():
    assert set(values(regression.measure(np.full(9, 2.0), np.arange(9.0)), 9)) == {"mae", "rmse", "r2"}
    assert set(values(regression.measure(np.arange(9.0), np.full(9, 1e6)), 9)) == {"mae", "rmse"}


def _sentences(chance: np.random.Generator, count: int):
    """Tags of any order: ill-formed ones too."""
    return [chance.integers(5, size=chance.integers(1, 12)) for _ in range(count)]


def _words(sentences) -> list[list[str]]:
    return [[TAGS[number] for number in sentence] for sentence in sentences]


def test_entity_metrics_are_those_of_seqeval():
    seqeval = pytest.importorskip("seqeval.metrics", reason="seqeval is installed with the development group")
    chance = np.random.default_rng(3)
    targets = _sentences(chance, 60)
    predicted = [np.where(chance.random(len(each)) < 0.7, each, chance.integers(5, size=len(each))) for each in targets]
    precision, recall, f1 = (
        score(_words(targets), _words(predicted)) for score in (seqeval.precision_score, seqeval.recall_score, seqeval.f1_score)
    )
    assert values(token_tags.measure(predicted, targets, TAGS, of_entities=True), 60) == pytest.approx(
        {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "token_accuracy": metrics.accuracy_score(np.concatenate(targets), np.concatenate(predicted)),
        }
    )
    report = seqeval.classification_report(_words(targets), _words(predicted), output_dict=True)
    for each in token_tags.per_class(predicted, targets, TAGS, of_entities=True):
        found = report[each.label]
        assert (each.precision, each.recall, each.f1, each.support) == pytest.approx(
            (found["precision"], found["recall"], found["f1-score"], found["support"])
        )


def test_entities_are_those_of_seqeval_in_every_scheme():
    labelling = pytest.importorskip("seqeval.metrics.sequence_labeling", reason="seqeval is installed with the development group")
    chance = np.random.default_rng(4)
    tags = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("LOC", "PER"))]
    for _ in range(2_000):
        sentence = [str(tag) for tag in chance.choice(tags, size=chance.integers(1, 9))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = [(kind, first, last + 1) for kind, first, last in labelling.get_entities(sentence)]
        assert entities(sentence) == theirs, sentence


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["I-PER", "I-PER", "O", "I-LOC"], [("PER", 0, 2), ("LOC", 3, 4)]),
        (["B-PER", "I-LOC", "I-LOC"], [("PER", 0, 1), ("LOC", 1, 3)]),
        (["B-PER", "B-PER", "L-PER", "U-PER"], [("PER", 0, 1), ("PER", 1, 3), ("PER", 3, 4)]),
        (["B", "M", "E", "S", "O"], [("", 0, 3), ("", 3, 4)]),
        (["B-a-b", "I-a-b"], [("a-b", 0, 2)]),
        ([], []),
    ],
)
def test_entities_of_tags(tags: list[str], found: list[tuple[str, int, int]]):
    assert entities(tags) == found


@pytest.mark.parametrize("tags", [["DT", "NN", "IN"], ["O", "B", "I"], ["O", "B-X", "I-X"]])
def test_tags_that_are_to_name_no_entities_are_measured_one_by_one(tags):
    targets, said = [np.array([0, 1, 2]), np.array([1])], [np.array([0, 1, 1]), np.array([1])]
    made = values(token_tags.measure(said, targets, tags, of_entities=False), 2)
    assert made == pytest.approx({"token_accuracy": 0.75, "macro_f1": metrics.f1_score([0, 1, 2, 1], [0, 1, 1, 1], average="macro")})
    assert {each.label for each in token_tags.per_class(said, targets, tags, of_entities=False)} == set(tags)


def test_a_token_without_a_tag_counts_nowhere():
    targets, said = [np.array([1, 2, -1, 0])], [np.array([1, 2, 2, 0])]
    assert values(token_tags.measure(said, targets, TAGS, of_entities=True), 1) == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "token_accuracy": 1.0,
    }
    assert sum(map(sum, token_tags.confusion_of_tags(said, targets, 5).tolist())) == 3
