"""What the feature cache holds: all of it for the operator, one's own for others."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from headstart.store import caches
from tests.app import service
from tests.app.service import Running
from tests.store.world import NOW


def about(workspace: str, **changes: Any) -> dict[str, Any]:
    row = {"workspace": workspace, "backbone_sha256": "0" * 64, "boundary": "encoder.layer.5", "pooling": "mean", "dtype": "bfloat16"}
    return row | {"storage": "float32", "rows": 10, "bytes": 600, "last_used_at": NOW.isoformat()} | changes


def told(running: Running, cache_id: str = "cache_1", **changes: Any) -> None:
    """What a worker would write."""
    own, other = running.ids["workspace"], running.ids["other"]
    workspaces = {
        own: {"keys": 1, "bytes": 600, "rows_computed": 10, "rows_reused": 30},
        other: {"keys": 1, "bytes": 100, "rows_computed": 5, "rows_reused": 0},
    }
    fields = {
        "host": "worker-1",
        "budget_bytes": 1000,
        "keys": {"aa": about(own), "bb": about(other, backbone_sha256="1" * 64, bytes=100)},
        "workspaces": workspaces,
        "started_at": NOW,
        "now": NOW,
    }
    with running.services.database.write() as session:
        caches.record(session, cache_id, **{**fields, **changes})


def get(running: Running, who: str = "admin") -> dict[str, Any]:
    with running.client(who) as client:
        response = client.get("/v1/cache")
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_before_any_worker_has_told_it_is_empty(running: Running):
    sums = {"bytes": 0, "budget_bytes": 0, "key_count": 0, "rows_computed": 0, "rows_reused": 0}
    assert get(running) == {"object": "cache", **sums, "hit_rate": None, "machines": []}


def test_operator_sees_every_machine_and_what_is_in_it(running: Running):
    service.fill(running)
    told(running)
    told(running, "cache_2", host="worker-2", keys={}, workspaces={})
    seen = get(running)
    assert (seen["bytes"], seen["budget_bytes"], seen["rows_computed"], seen["rows_reused"]) == (700, 2000, 15, 30)
    assert seen["hit_rate"] == 0.6667
    machines = {machine["host"]: machine for machine in seen["machines"]}
    assert (machines["worker-2"]["bytes"], machines["worker-2"]["hit_rate"], machines["worker-2"]["keys"]) == (0, None, [])
    key, foreign = machines["worker-1"]["keys"]
    assert (key["backbone"], foreign["backbone"]) == ("minilm-l6", None)
    assert key == {"object": "cache_key", "id": "aa", "backbone": "minilm-l6"} | about(
        running.ids["workspace"], last_used_at="2026-11-24T03:00:00.000Z"
    )
    assert machines["worker-1"]["updated_at"] == "2026-11-24T03:00:00.000Z"


def test_admin_of_another_workspace_sees_what_is_theirs_and_nothing_that_others_change(running: Running):
    told(running)
    before = get(running, "stranger")
    assert (before["bytes"], before["key_count"], before["rows_computed"], before["hit_rate"]) == (100, 1, 5, 0.0)
    assert [key["id"] for machine in before["machines"] for key in machine["keys"]] == ["bb"]
    assert before["machines"][0]["updated_at"] is None
    own, other = running.ids["workspace"], running.ids["other"]
    more = {own: {"keys": 9, "bytes": 900, "rows_computed": 99, "rows_reused": 99}}
    kept = {other: {"keys": 1, "bytes": 100, "rows_computed": 5, "rows_reused": 0}}
    keys = {"aa": about(own), "bb": about(other, backbone_sha256="1" * 64, bytes=100), "cc": about(own)}
    told(running, workspaces=more | kept, keys=keys)
    assert get(running, "stranger") == before


def test_what_a_worker_tells_takes_the_place_of_what_it_told_before(running: Running):
    told(running)
    told(running, keys={}, workspaces={}, host="renamed")
    seen = get(running)
    assert [(machine["host"], machine["bytes"]) for machine in seen["machines"]] == [("renamed", 0)]


def test_number_of_queries_does_not_grow_with_keys_or_machines(running: Running):
    service.fill(running)
    told(running)
    few = queries(running)
    for number in range(5):
        told(running, f"cache_{number}", keys={f"{number}{key}": about(running.ids["workspace"]) for key in range(20)})
    assert queries(running) == few


def queries(running: Running) -> int:
    statements: list[object] = []

    def count(*arguments: object) -> None:
        statements.append(arguments[2])

    database = running.services.database
    event.listen(database.engine, "before_cursor_execute", count)
    try:
        with database.read() as session:
            caches.view_caches(session, only=None)
    finally:
        event.remove(database.engine, "before_cursor_execute", count)
    assert statements
    return len(statements)
