"""What a job has to do with what came before, and what that was concluded from."""

from __future__ import annotations

import pytest

from headstart.errors import BadInput
from headstart.planning.relationship import Learnt, relationship_of
from headstart.specs.relationships import Relationship

JOB = Learnt("", {"reviews"}, {"neg", "pos"})


def model(*datasets: str, classes: tuple[str, ...] = ()) -> Learnt:
    return Learnt("films:3", datasets, classes)


@pytest.mark.parametrize(
    ("source", "value", "why"),
    [
        (model("reviews"), "same-domain", "The model 'films:3' learnt from the dataset 'reviews' too."),
        (model("tweets", "reviews"), "same-domain", "The model 'films:3' learnt from the dataset 'reviews' too."),
        (
            model("films", classes=("neg", "pos", "mixed")),
            "same-domain",
            "The model 'films:3' tells 2 of the 3 classes of both apart already.",
        ),
        (
            model("films", classes=("cat", "dog", "pos")),
            "cross-domain",
            "The model 'films:3' learnt from another dataset, 'films', and 1 of the 4 classes of both are shared.",
        ),
        (
            model("tweets", "films", classes=("cat", "dog")),
            "cross-domain",
            "The model 'films:3' learnt from other datasets, 'films', 'tweets', and 0 of the 4 classes of both are shared.",
        ),
        (model(), "cross-domain", "The model 'films:3' learnt from another dataset, and 0 of the 2 classes of both are shared."),
        (
            None,
            "cross-domain",
            "The backbone was trained on data of its makers, of whose domain nothing is known here; a spec that knows better can say so.",
        ),
    ],
)
def test_the_datasets_and_classes_of_both_decide(source, value, why):
    assert relationship_of(None, JOB, source, tasks=1) == Relationship(value=value, why=why)


def test_regressions_have_no_classes_to_share():
    job = Learnt("", {"prices"}, ())
    expected = Relationship(value="cross-domain", why="The model 'films:3' learnt from another dataset, 'houses'.")
    assert relationship_of(None, job, model("houses"), tasks=1) == expected
    assert relationship_of(None, Learnt("", (), ()), model(), tasks=1).value == "cross-domain"


def test_several_tasks_are_multi_task_wherever_they_start():
    for pretrained in (True, False):
        found = relationship_of(None, JOB, model("reviews"), tasks=2, pretrained=pretrained)
        assert found == Relationship(value="multi-task", why="2 tasks learn together.")


def test_from_random_parameters_nothing_is_transferred():
    found = relationship_of(None, JOB, None, tasks=1, pretrained=False)
    assert found.value is None
    assert found.why == "The backbone starts from random parameters, so that nothing is transferred."


def test_the_word_of_the_spec_comes_first():
    assert relationship_of("same-domain", JOB, None, tasks=3) == Relationship(value="same-domain", why="The spec says so.")


def test_one_task_cannot_be_several():
    with pytest.raises(BadInput) as caught:
        relationship_of("multi-task", JOB, None, tasks=1)
    assert caught.value.faults[0].pointer == "/relationship"
    assert caught.value.message == "There is one task, and multi-task means several that learn together."
