"""Datasets that jobs name: several at once are held in one order, and none goes while a job needs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy.orm import Session

from headstart.errors import BadInput, Conflict
from headstart.store import datasets, jobs, workspaces
from headstart.store.tables import Dataset
from tests.store.world import NOW, add_dataset, add_job, add_workspace, at_once


@pytest.fixture
def workspace(database) -> str:
    """With the datasets `one` and `two`."""
    with database.write() as session:
        made = add_workspace(session)
        for name in ("one", "two"):
            add_dataset(session, made, name=name)
    return made


def resolve(session: Session, workspace: str, *references: str) -> dict[str, Dataset]:
    return datasets.resolve_datasets(session, workspace, {f"/tasks/{number}/dataset": each for number, each in enumerate(references)})


def test_each_reference_is_resolved_and_several_may_name_one_dataset(database, workspace):
    with database.write() as session:
        found = resolve(session, workspace, "one", "two:1", "one:1", "one")
        assert {reference: datasets.versioned(row) for reference, row in found.items()} == {
            "one": "one:1",
            "two:1": "two:1",
            "one:1": "one:1",
        }


def test_the_first_reference_that_cannot_be_used_is_pointed_at(database, workspace):
    with database.write() as session:
        other = add_dataset(session, add_workspace(session, "b"))
        add_dataset(session, workspace, name="late", ready=False)
        for reference in (other.id, "reviews", "one@prod"):
            with pytest.raises(BadInput) as caught:
                resolve(session, workspace, "one", reference, "late")
            assert (caught.value.code, caught.value.faults[0].pointer) == ("dataset_not_found", "/tasks/1/dataset")
        with pytest.raises(Conflict) as waiting:
            resolve(session, workspace, "one", "late")
        assert waiting.value.code == "dataset_not_ready"


def test_jobs_that_name_the_same_datasets_in_another_order_do_not_wait_for_each_other(database, workspace):
    def create(*references: str) -> Callable[[Session], str]:
        def action(session: Session) -> str:
            first, *others = resolve(session, workspace, *references).values()
            return add_job(session, workspace, dataset=first, others=others).id

        return action

    with database.write() as session:
        add_job(session, workspace)  # makes the backbone that all use
    for _ in range(5):
        made = at_once(database, *[create(*names) for names in (("one", "two"), ("two", "one")) * 3])
        assert all(isinstance(each, str) for each in made), made


def test_a_dataset_goes_or_the_job_that_names_it_does_not_find_it(database, workspace):
    with database.write() as session:
        add_job(session, workspace)
        ids = [row.id for row in resolve(session, workspace, "one", "two").values()]

    def create(session: Session) -> str:
        first, *others = resolve(session, workspace, "one", "two").values()
        return add_job(session, workspace, dataset=first, others=others).id

    def delete(session: Session) -> str:
        datasets.delete_dataset(session, workspace, ids[1], now=NOW)
        return "deleted"

    made, gone = at_once(database, create, delete)
    if gone == "deleted":
        assert isinstance(made, BadInput)
    else:
        assert isinstance(gone, Conflict)
        assert (gone.code, gone.message) == ("in_use", f"Job {made} needs this dataset.")


@pytest.mark.parametrize("names", [["one", "two"], ["two", "one"]], ids=str)
def test_no_dataset_of_a_job_goes_before_the_job_has_ended(database, workspace, names: Sequence[str]):
    with database.write() as session:
        found = resolve(session, workspace, *names)
        job = add_job(session, workspace, dataset=found[names[0]], others=[found[names[1]], found[names[0]]])
        for row in found.values():
            with pytest.raises(Conflict) as caught:
                datasets.delete_dataset(session, workspace, row.id, now=NOW)
            assert (caught.value.code, caught.value.message) == ("in_use", f"Job {job.id} needs this dataset.")
        assert [row.name for row in jobs.datasets_of(session, job)] == names
        jobs.cancel_job(session, workspace, job.id, now=NOW)
        for row in found.values():
            datasets.delete_dataset(session, workspace, row.id, now=NOW)


def test_whether_a_row_was_stored_waits_for_whoever_is_still_storing_it(database):
    with database.write() as session:
        workspace = add_workspace(session)
    made, told = threading.Event(), list[str]()

    def store() -> None:
        with database.write() as session:
            told.append(add_dataset(session, workspace).id)
            made.set()
            time.sleep(0.3)

    thread = threading.Thread(target=store)
    thread.start()
    assert made.wait(10)
    with database.write() as session:
        assert workspaces.was_stored(session, workspace, Dataset, told[0])
        assert not workspaces.was_stored(session, workspace, Dataset, datasets.new_dataset_id())
    thread.join()
