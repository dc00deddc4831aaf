"""Models that stand on models: what is kept for whom, and what nobody needs any more."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import select

from headstart.errors import BadInput, Conflict, NotFound
from headstart.store import backbones, jobs, models, parents
from headstart.store.origins import resolve_origin
from headstart.store.tables import Artifact, Model, ModelVersion
from tests.store.world import NOW, add_backbone, add_dataset, add_job, add_model, add_workspace, at_once


def artifact_of(session, workspace: str, name: str) -> Artifact:
    found = models.find_version(session, workspace, name)
    assert found is not None
    return found[2]


@pytest.fixture
def family(database) -> str:
    """`grandparent` → `parent` → `child`, and `other`, which stands on `grandparent` too; gives the workspace."""
    with database.write() as session:
        workspace = add_workspace(session)
        add_model(session, workspace, name="grandparent")
        add_model(session, workspace, name="parent", parent=artifact_of(session, workspace, "grandparent"))
        add_model(session, workspace, name="child", parent=artifact_of(session, workspace, "parent"))
        add_model(session, workspace, name="other", parent=artifact_of(session, workspace, "grandparent"))
    return workspace


def blobs(session, *names: str) -> set[str]:
    query = select(Artifact.blob).join(ModelVersion, ModelVersion.artifact_id == Artifact.id).join(Model, Model.id == ModelVersion.model_id)
    return set(session.scalars(query.where(Model.name.in_(names))))


def test_chain_goes_from_the_oldest_to_the_model(database, family):
    with database.read() as session:
        served = models.find_served(session, family, "child")
        assert served is not None
        found = [artifact.blob for artifact in parents.chain(session, artifact_of(session, family, "child").parent_id)]
        assert list(served.parent_blobs) == found
        assert {found[0]} == blobs(session, "grandparent")
        assert {found[1]} == blobs(session, "parent")
        assert parents.chain(session, None) == []


def test_deleted_parent_is_gone_for_callers_and_its_files_stay_for_its_children(database, family):
    with database.write() as session:
        assert models.delete_model(session, family, "grandparent", now=NOW) == []
        assert models.delete_model(session, family, "parent", now=NOW) == []
    with database.write() as session:
        assert models.find_served(session, family, "parent") is None
        assert models.find_served(session, family, "child") is not None
        assert set(models.delete_model(session, family, "child", now=NOW)) == blobs(session, "child", "parent")
        assert set(models.delete_model(session, family, "other", now=NOW)) == blobs(session, "other", "grandparent")


def test_model_that_a_job_starts_from_is_in_use_until_the_job_has_ended(database, family):
    with database.write() as session:
        job = add_job(session, family, model="new", parent=artifact_of(session, family, "child")).id
    with database.write() as session, pytest.raises(Conflict, match="starts from this model") as caught:
        models.delete_model(session, family, "child", now=NOW)
    assert caught.value.code == "in_use"
    with database.write() as session:
        jobs.cancel_job(session, family, job, now=NOW)
        assert set(models.delete_model(session, family, "child", now=NOW)) == blobs(session, "child")


def test_version_names_its_parent_also_when_that_was_deleted(database, family):
    with database.write() as session:
        models.delete_model(session, family, "parent", now=NOW)
        child = models.get_version(session, models.get_model(session, family, "child"), 1)
        first = models.get_version(session, models.get_model(session, family, "grandparent"), 1)
        assert (child.parent, child.backbone) == ("parent:1", "minilm-l6")
        assert first.parent is None


def test_reference_means_a_backbone_first_and_then_a_model(database, family):
    with database.write() as session:
        model = resolve_origin(session, family, "parent", pointer="/backbone")
        assert (model.name, model.parent and model.parent.id) == ("parent:1", artifact_of(session, family, "parent").id)
        models.put_alias(session, models.get_model(session, family, "parent"), "prod", 1)
        assert resolve_origin(session, family, "parent@prod", pointer="/backbone").name == "parent:1"
        assert resolve_origin(session, family, "parent:1", pointer="/backbone").backbone.name == "minilm-l6"
        assert resolve_origin(session, family, "minilm-l6", pointer="/backbone").parent is None
        add_backbone(session, family, name="parent")
        assert resolve_origin(session, family, "parent", pointer="/backbone").parent is None
        for absent in ("parent:2", "parent@nobody", "nobody", "mdl_01h455vb4pex5vsknk084sn02q"):
            with pytest.raises(BadInput) as caught:
                resolve_origin(session, family, absent, pointer="/backbone")
            assert caught.value.code == "backbone_not_found"


def test_model_of_another_workspace_is_answered_like_none(database, family):
    with database.write() as session:
        stranger = add_workspace(session, "b")
        told = []
        for reference in (models.get_model(session, family, "parent").id, "parent", "mdl_01h455vb4pex5vsknk084sn02q"):
            with pytest.raises(BadInput) as caught:
                resolve_origin(session, stranger, reference, pointer="/backbone")
            told.append((caught.value.code, caught.value.message, caught.value.hint))
        assert len(set(told)) == 1


def test_backbone_that_was_deleted_serves_the_children_of_its_models(database, family):
    with database.write() as session:
        sha256 = backbones.get_backbone(session, family, "minilm-l6").sha256
        backbones.delete_backbone(session, family, "minilm-l6", now=NOW)
        assert resolve_origin(session, family, "parent", pointer="/backbone").parent is not None
        assert backbones.files_needed(session, sha256 or "")


def test_job_on_a_model_and_its_deletion_at_once_end_with_one_of_them(database):
    for number in range(5):
        with database.write() as session:
            workspace = add_workspace(session)
            add_model(session, workspace, name="contested")
            dataset = add_dataset(session, workspace, name=f"data-{number}")

        def start(session, workspace=workspace, dataset=dataset) -> str:
            origin = resolve_origin(session, workspace, "contested", pointer="/backbone")
            return add_job(session, workspace, dataset=dataset, backbone=origin.backbone, parent=origin.parent, model="new").id

        def delete(session, workspace=workspace) -> list[str]:
            return models.delete_model(session, workspace, "contested", now=NOW)

        started, deleted = at_once(database, start, delete)
        assert isinstance(started, str) != isinstance(deleted, list), (started, deleted)
        assert isinstance(started, str | BadInput)
        assert isinstance(deleted, list | Conflict)
        if isinstance(started, str):
            with database.write() as session:
                jobs.cancel_job(session, workspace, started, now=NOW)


def put_prod(session, workspace: str) -> None:
    models.put_alias(session, models.get_model(session, workspace, "contested"), "prod", 1)


def test_first_uses_of_an_alias_at_once_all_succeed(database):
    for number in range(10):
        with database.write() as session:
            workspace = add_workspace(session)
            add_model(session, workspace, name="contested", dataset=add_dataset(session, workspace, name=f"data-{number}"))

        put = partial(put_prod, workspace=workspace)

        assert at_once(database, put, put) == [None, None]
        with database.read() as session:
            model = models.get_model(session, workspace, "contested")
            assert models.aliases_of(session, [model])[model.id] == {"prod": 1}


def test_alias_that_is_put_and_deleted_at_once_ends_one_way_or_the_other(database):
    for number in range(10):
        with database.write() as session:
            workspace = add_workspace(session)
            add_model(session, workspace, name="contested", dataset=add_dataset(session, workspace, name=f"data-{number}"))
            model = models.get_model(session, workspace, "contested")
            models.put_alias(session, model, "prod", 1)

        put = partial(put_prod, workspace=workspace)

        def delete(session, workspace=workspace) -> None:
            models.delete_alias(session, models.get_model(session, workspace, "contested"), "prod")

        put_ended, *deleted = at_once(database, put, delete, delete)
        assert put_ended is None
        assert all(each is None or isinstance(each, NotFound) for each in deleted), deleted


def test_alias_of_a_model_that_is_deleted_at_once_is_not_found_or_keeps_the_model(database):
    for number in range(10):
        with database.write() as session:
            workspace = add_workspace(session)
            add_model(session, workspace, name="contested", dataset=add_dataset(session, workspace, name=f"data-{number}"))

        put = partial(put_prod, workspace=workspace)

        def delete(session, workspace=workspace) -> list[str]:
            return models.delete_model(session, workspace, "contested", now=NOW)

        ended, deleted = at_once(database, put, delete)
        assert isinstance(ended, NotFound) == isinstance(deleted, list), (ended, deleted)
        assert isinstance(deleted, list | Conflict)
