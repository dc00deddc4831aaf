"""Heads that are computed: the nearest class mean and the nearest rows, by hand and beside scikit-learn; and one more kind in one place."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import Field
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from headstart.engine.artifacts import load_artifact
from headstart.engine.heads import HEADS, Given, HeadKind, LabelledRows
from headstart.engine.heads.prototype import class_means
from headstart.engine.losses import Softmax, log_loss
from headstart.engine.predictor import Predictor
from headstart.engine.run import run_job
from headstart.engine.tables import DatasetTable
from headstart.planning.plan import make_plan
from headstart.specs.fields import Input
from headstart.specs.heads import Head, KnnHead, LinearHead, PrototypeHead
from headstart.specs.jobs import FeatureExtraction, JobSpec
from tests.engine.conftest import CREATED_AT, Listener, World, job_spec, reviews

Floats = NDArray[np.float32]


def blobs(rows: int, classes: int, seed: int = 0, width: int = 6) -> LabelledRows:
    """Classes that overlap, far from the origin, in a random order."""
    chance = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, width)) + 10
    targets = chance.integers(0, classes, rows)
    return LabelledRows((centres[targets] + chance.normal(size=(rows, width))).astype(np.float32), targets)


def given(train: LabelledRows, validation: LabelledRows | None = None, classes: int = 4) -> Given:
    return Given(train, validation or blobs(0, classes), classes, Softmax())


def fitted(head: PrototypeHead | KnnHead, train: LabelledRows, validation: LabelledRows | None = None, classes: int = 4):
    fit = HEADS[head.type].fit
    assert fit is not None
    return fit(head, given(train, validation, classes))


def test_every_head_of_a_spec_is_in_the_table():
    union = get_args(Head)[0]
    assert {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(union)} == set(HEADS)


@pytest.mark.parametrize("head", [PrototypeHead(type="prototype"), KnnHead(type="knn", k=3), LinearHead()], ids=lambda head: head.type)
def test_a_head_keeps_as_many_numbers_as_the_plan_says(head):
    rows = blobs(50, 4)
    assert sum(tensor.size for tensor in fitted(head, rows).values()) == head.parameters(6, 4, 50)


@pytest.mark.parametrize("validation", [0, 300])
def test_prototype_answers_with_the_nearest_class_mean(validation):
    train, test = blobs(200, 4), blobs(500, 4, seed=1)
    tensors = fitted(PrototypeHead(type="prototype"), train, blobs(validation, 4, seed=2))
    means = np.stack([train.features[:][train.targets == number].mean(axis=0) for number in range(4)])
    distances = np.square(test.features[:][:, None].astype(np.float64) - means[None]).sum(axis=2)
    answers = HEADS["prototype"].logits(tensors, test.features[:]).argmax(axis=1)
    assert np.array_equal(answers, distances.argmin(axis=1))
    assert np.array_equal(answers, NearestCentroid().fit(train.features[:], train.targets).predict(test.features[:]))


def test_prototype_scores_are_those_of_scaled_distances_and_mean_something():
    train, validation, test = blobs(400, 4), blobs(300, 4, seed=2), blobs(500, 4, seed=1)
    scores = HEADS["prototype"].logits(fitted(PrototypeHead(type="prototype"), train, validation), test.features[:])
    means = class_means(train, 4)
    distances = np.square(test.features[:][:, None] - means[None]).sum(axis=2)
    # differences of scores between classes are differences of −distance / 2s, with one s for all
    ratio = (scores[:, 1] - scores[:, 0]) / (distances[:, 0] - distances[:, 1])
    assert np.allclose(ratio, ratio[0], rtol=1e-3)
    # the classes are round with variance 1: no scale could be much better than s = 1
    assert 1 / (2 * ratio[0]) == pytest.approx(1.0, abs=0.35)
    assert log_loss(scores, test.targets) <= log_loss(-distances / 2, test.targets) + 0.02


def test_prototype_of_a_class_without_training_rows_is_never_the_answer():
    rows = blobs(100, 3)
    tensors = fitted(PrototypeHead(type="prototype"), rows, classes=5)
    scores = HEADS["prototype"].logits(tensors, np.concatenate([rows.features[:], np.zeros((1, 6), np.float32)]))
    assert set(scores.argmax(axis=1)) <= {0, 1, 2}
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("each", [1, 2])
def test_one_row_of_each_class_is_a_prototype(each):
    features = np.repeat(np.eye(3, 6, dtype=np.float32), each, axis=0)
    tensors = fitted(PrototypeHead(type="prototype"), LabelledRows(features, np.repeat(np.arange(3), each)), classes=3)
    assert list(HEADS["prototype"].logits(tensors, np.eye(3, 6, dtype=np.float32)).argmax(axis=1)) == [0, 1, 2]


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 5, 30])
def test_knn_votes_as_scikit_learn_does(distance, k):
    train, test = blobs(300, 4), blobs(400, 4, seed=1)
    scores = HEADS["knn"].logits(fitted(KnnHead(type="knn", k=k, distance=distance), train), test.features[:])
    reference = KNeighborsClassifier(n_neighbors=k, metric=distance).fit(train.features[:].astype(np.float64), train.targets)
    theirs = reference.predict_proba(test.features[:].astype(np.float64))
    # one vote more than k is shared by all classes; a row in hundreds may have a neighbour as far as another in float32
    same = np.isclose(np.exp(scores), (theirs * k + 1 / 4) / (k + 1)).all(axis=1)
    assert same.mean() > 0.99
    assert (scores.argmax(axis=1) == reference.predict(test.features[:])).mean() > 0.99
    assert np.allclose(np.exp(scores).sum(axis=1), 1.0)


def test_knn_in_blocks_is_knn_at_once(monkeypatch):
    from headstart.engine.heads import knn

    train, test = blobs(100, 4), blobs(64, 4, seed=1)
    tensors = fitted(KnnHead(type="knn"), train)
    at_once = HEADS["knn"].logits(tensors, test.features[:])
    monkeypatch.setattr(knn, "BLOCK", 700)
    assert np.array_equal(HEADS["knn"].logits(tensors, test.features[:]), at_once)


def test_knn_with_fewer_rows_than_shall_vote_asks_all_of_them():
    rows = LabelledRows(np.eye(3, dtype=np.float32), np.array([0, 1, 1]))
    scores = HEADS["knn"].logits(fitted(KnnHead(type="knn", k=10), rows, classes=2), rows.features[:])
    assert np.allclose(np.exp(scores), [[1.5 / 4, 2.5 / 4]])


@pytest.mark.parametrize("head", [{"type": "prototype"}, {"type": "knn", "k": 7, "distance": "euclidean"}, {"type": "knn"}])
def test_computed_heads_run_as_jobs_and_are_rebuilt_bit_for_bit(world, tiny, head):
    listener = Listener()
    method = {"type": "feature-extraction", "layer": "embeddings", "head": head}
    outcome, folder = world.run(tiny, reviews(300), method=method, reporter=listener)
    assert outcome.metrics["sentiment"]["accuracy"] > outcome.baselines["sentiment"]["majority"]["accuracy"] + 0.1
    assert any(f"A {head['type']} head is computed on 210 rows." in line for _, line in listener.lines)
    one, two = (Predictor(tiny, load_artifact(folder)).predict([{"text": "a good film"}, {"text": "a dull plot"}]) for _ in range(2))
    assert one == two
    # the estimate of the artifact holds what the head keeps
    _, profile = world.table(reviews(300))
    planned = make_plan(job_spec(method=method), profile, tiny.anatomy, None, cache_budget_bytes=1 << 30)
    assert outcome.trainable_parameters == planned.tasks[0].head_parameters
    assert outcome.artifact_bytes == pytest.approx(planned.estimate.artifact_bytes, abs=4096)


class CentreHead(Input):
    """A head of a test: one point; what lies on this side of it is class 0."""

    has_loss: ClassVar[bool] = False
    type: Literal["centre"]
    stepped: ClassVar[bool] = False
    scale: float = 1.0

    def parameters(self, width: int, classes: int, rows: int) -> int:
        return width * classes


class WithCentre(FeatureExtraction):
    head: CentreHead = Field()  # type: ignore[assignment]


class SpecWithCentre(JobSpec):
    method: WithCentre = Field()


def test_one_class_and_one_entry_make_a_new_kind_of_head(tmp_path, tiny, monkeypatch):
    def fit(head: CentreHead, given: Given):
        return {"points": (head.scale * class_means(given.train, given.outputs)).astype(np.float32)}

    monkeypatch.setitem(HEADS, "centre", HeadKind(lambda tensors, x: (x @ tensors["points"].T).astype(np.float64), fit=fit))
    world, method = World(tmp_path), {"type": "feature-extraction", "head": {"type": "centre", "scale": 2.0}}
    table, profile = world.table(reviews(120))
    spec = SpecWithCentre.model_validate({**job_spec().model_dump(exclude={"method"}), "method": method})
    plan = make_plan(spec, profile, tiny.anatomy, None, cache_budget_bytes=1 << 30)
    folder = tmp_path / "artifact"
    folder.mkdir()
    outcome = run_job(
        job_id="job_01h455vb4pex5vsknk084sn02q",
        workspace="ws_one",
        spec=spec,
        plan=plan,
        backbone=tiny,
        tables=[DatasetTable("reviews", table, "d" * 64)],
        cache_root=world.cache_root,
        artifact_folder=folder,
        reporter=Listener(),
        clock=lambda: 0.0,
        created_at=CREATED_AT,
    )
    assert outcome.trainable_parameters == plan.tasks[0].head_parameters == 2 * tiny.anatomy.width
    assert len(Predictor(tiny, load_artifact(folder)).predict([{"text": "good"}])[0]) == 1
