"""Each operation is one plain method, and says on the wire what WIRE says."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from typing import Any

import pytest

from headstart.client import Headstart, backbones, cache, datasets, health, jobs, keys, models, uploads, workspaces
from headstart.specs.jobs import JobSpec
from tests.client.service import Service, form, job

OPERATIONS = {
    "create_dataset": ("POST", "/v1/datasets"),
    "list_datasets": ("GET", "/v1/datasets"),
    "get_dataset": ("GET", "/v1/datasets/ds_1"),
    "list_dataset_rows": ("GET", "/v1/datasets/ds_1/rows"),
    "get_dataset_profile": ("GET", "/v1/datasets/ds_1/profile"),
    "get_dataset_suggestions": ("GET", "/v1/datasets/ds_1/suggestions"),
    "list_dataset_problems": ("GET", "/v1/datasets/ds_1/problems"),
    "delete_dataset": ("DELETE", "/v1/datasets/ds_1"),
    "create_dataset_version": ("POST", "/v1/datasets/ds_1/versions"),
    "get_dataset_diff": ("GET", "/v1/datasets/ds_2/diff"),
    "create_upload": ("POST", "/v1/uploads"),
    "list_uploads": ("GET", "/v1/uploads"),
    "get_upload": ("GET", "/v1/uploads/upl_3"),
    "patch_upload": ("PATCH", "/v1/uploads/upl_3"),
    "delete_upload": ("DELETE", "/v1/uploads/upl_3"),
    "create_backbone": ("POST", "/v1/backbones"),
    "list_backbones": ("GET", "/v1/backbones"),
    "get_backbone": ("GET", "/v1/backbones/bb_4"),
    "list_backbone_layers": ("GET", "/v1/backbones/bb_4/layers"),
    "delete_backbone": ("DELETE", "/v1/backbones/bb_4"),
    "create_plan": ("POST", "/v1/plans"),
    "create_job": ("POST", "/v1/jobs"),
    "list_jobs": ("GET", "/v1/jobs"),
    "get_job": ("GET", "/v1/jobs/job_5"),
    "cancel_job": ("POST", "/v1/jobs/job_5/cancel"),
    "list_job_events": ("GET", "/v1/jobs/job_5/events"),
    "list_job_logs": ("GET", "/v1/jobs/job_5/logs"),
    "list_job_metrics": ("GET", "/v1/jobs/job_5/metrics"),
    "get_job_report": ("GET", "/v1/jobs/job_5/report"),
    "get_job_report_page": ("GET", "/v1/jobs/job_5/report"),  # the same operation, asked for HTML
    "list_models": ("GET", "/v1/models"),
    "get_model": ("GET", "/v1/models/reviews"),
    "list_model_versions": ("GET", "/v1/models/reviews/versions"),
    "get_model_version": ("GET", "/v1/models/reviews/versions/3"),
    "put_model_alias": ("PUT", "/v1/models/reviews/aliases/prod"),
    "delete_model_alias": ("DELETE", "/v1/models/reviews/aliases/prod"),
    "delete_model": ("DELETE", "/v1/models/reviews"),
    "predict": ("POST", "/v1/models/reviews@prod/predict"),
    "create_key": ("POST", "/v1/keys"),
    "list_keys": ("GET", "/v1/keys"),
    "get_key": ("GET", "/v1/keys/key_1"),
    "revoke_key": ("DELETE", "/v1/keys/key_1"),
    "create_workspace": ("POST", "/v1/workspaces"),
    "list_workspaces": ("GET", "/v1/workspaces"),
    "get_workspace": ("GET", "/v1/workspaces/ws_1"),
    "get_cache": ("GET", "/v1/cache"),
    "get_health": ("GET", "/readyz"),
}
CALLS: dict[str, Callable[..., Any]] = {
    name: function
    for module in (datasets, uploads, backbones, jobs, models, keys, workspaces, cache, health)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__
}
SPEC = job()["spec"]


def test_every_operation_answers_with_its_type(client: Headstart, service: Service):
    did = [
        client.create_dataset(io.BytesIO(b"text,label\na,b\n"), name="reviews", format="csv"),
        client.list_datasets(),
        client.get_dataset("ds_1"),
        client.list_dataset_rows("ds_1"),
        client.get_dataset_profile("ds_1"),
        client.get_dataset_suggestions("ds_1"),
        client.list_dataset_problems("ds_1"),
        client.create_dataset_version("ds_1", rows=[{"text": "c", "label": "d"}]),
        client.get_dataset_diff("ds_2", against="ds_1", key="id"),
        client.create_upload(size_bytes=5, metadata={"filename": "a.csv"}),
        client.list_uploads(),
        client.get_upload("upl_3"),
        client.create_backbone(name="minilm-l6", source="demo:minilm-l6"),
        client.list_backbones(),
        client.get_backbone("bb_4"),
        client.list_backbone_layers("bb_4"),
        client.create_plan(SPEC),
        client.create_job(SPEC),
        client.list_jobs(),
        client.get_job("job_5"),
        client.cancel_job("job_5"),
        client.list_job_events("job_5", after=0),
        client.list_job_logs("job_5", after=0),
        client.list_job_metrics("job_5"),
        client.get_job_report("job_5"),
        client.get_job_report_page("job_5"),
        client.list_models(),
        client.get_model("reviews"),
        client.list_model_versions("reviews"),
        client.get_model_version("reviews", 3),
        client.put_model_alias("reviews", "prod", version=3),
        client.predict("reviews@prod", ["great film"], top_k=1),
        client.create_key(name="ci", scopes=["read"]),
        client.list_keys(),
        client.get_key("key_1"),
        client.create_workspace(name="research"),
        client.list_workspaces(),
        client.get_workspace("ws_1"),
        client.get_cache(),
        client.get_health(),
    ]
    assert None not in did
    client.patch_upload("upl_3", b"12345", offset=0)
    client.delete_upload("upl_3")
    client.delete_dataset("ds_1")
    client.delete_backbone("bb_4")
    client.delete_model_alias("reviews", "prod")
    client.delete_model("reviews")
    client.revoke_key("key_1")
    assert {(seen.method, seen.path) for seen in service.seen} == set(OPERATIONS.values())


def test_every_operation_is_one_method_with_the_signature_of_its_call():
    assert set(CALLS) == set(OPERATIONS)
    for name, call in CALLS.items():
        plain = list(inspect.signature(call).parameters.values())
        method = list(inspect.signature(getattr(Headstart, name)).parameters.values())[1:]
        assert plain == method, name


def test_posts_that_make_or_change_rows_carry_an_idempotency_key(client: Headstart, service: Service):
    client.create_dataset(io.BytesIO(b"x"), name="a")
    client.create_backbone(name="b", source="demo:b")
    made = client.create_job(SPEC, idempotency_key="mine")
    client.cancel_job(made.id)
    client.create_key(name="k")
    client.create_workspace(name="w")
    client.predict("reviews", ["x"])
    client.list_jobs()
    sent = [seen.headers.get("idempotency-key") for seen in service.seen]
    assert sent[2] == "mine"
    assert len(set(sent[:6])) == 6
    assert None not in sent[:6]
    assert all(key is not None and len(key) == 32 for key in (*sent[:2], *sent[3:6]))
    assert sent[6:] == [None, None]


def test_multipart_sends_its_fields_first_and_the_file_last(client: Headstart, service: Service, write: Callable[[str, str], str]):
    path = write("My reviews.csv", "text,label\ngood,pos\n")
    client.create_dataset(path, name="reviews", format="csv", schema={"label": "category"})
    assert form(service.seen[0]) == [
        ("name", b"reviews"),
        ("format", b"csv"),
        ("schema", b'{"label": "category"}'),
        ("file", b"text,label\ngood,pos\n"),
    ]
    assert b'filename="My reviews.csv"' in service.seen[0].body


def test_a_typed_spec_sends_only_what_was_said(client: Headstart, service: Service):
    client.create_job(JobSpec.model_validate(SPEC))
    assert service.seen[0].json == SPEC


def test_fields_that_a_newer_server_adds_are_passed_over(client: Headstart, service: Service):
    from tests.client.service import Reply, dataset

    service.replies = [Reply(200, dataset(mood="sunny", columns=[{"name": "a", "type": "text", "missing": 0, "distinct": 1, "new": []}]))]
    row = client.get_dataset("ds_1")
    assert row.columns is not None
    assert row.columns[0].name == "a"


@pytest.mark.parametrize("reference", ["", ".", "..", "\ud800"])
def test_an_id_that_would_reach_another_path_is_refused_before_it_is_sent(client: Headstart, service: Service, reference: str):
    from headstart.errors import BadInput

    with pytest.raises(BadInput):
        client.get_job(reference)
    assert service.seen == []


def test_a_slash_in_a_name_stays_inside_its_part_of_the_path(client: Headstart, service: Service):
    from headstart.errors import NotFound

    with pytest.raises(NotFound):
        client.get_job("a/../../keys?x#y")
    assert service.seen[0].target == "/v1/jobs/a%2F..%2F..%2Fkeys%3Fx%23y"


def test_a_string_in_place_of_a_list_of_texts_is_refused(client: Headstart, service: Service):
    from headstart.errors import BadInput

    with pytest.raises(BadInput, match="list of texts"):
        client.predict("reviews", "great film")
    assert service.seen == []


def test_numbers_json_has_no_word_for_are_refused_before_they_are_sent(client: Headstart, service: Service):
    from headstart.errors import BadInput

    with pytest.raises(BadInput, match="JSON"):
        client.create_job({"training": {"learning_rate": float("nan")}})
    with pytest.raises(BadInput, match="JSON"):
        client.predict("reviews", ["\ud800"])
    assert service.seen == []


def test_the_key_is_shown_by_no_repr(client: Headstart):
    assert "hs_test" not in repr(client)
    assert "hs_test" not in repr(client.connection)
