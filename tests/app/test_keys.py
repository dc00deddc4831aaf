"""Keys that the operator makes for other workspaces."""

from __future__ import annotations

import httpx
import pytest

from tests.app.service import Running, problem


@pytest.fixture
def made(running: Running, admin: httpx.Client) -> httpx.Response:
    """A key of the other workspace, made by the operator."""
    return admin.post("/v1/keys", json={"name": "theirs", "scopes": ["read"], "workspace": running.ids["other"]})


def test_the_operator_finds_and_revokes_a_key_that_it_made_for_another_workspace(
    running: Running, admin: httpx.Client, made: httpx.Response
):
    shown = admin.get(made.headers["location"])
    assert (shown.status_code, shown.json()["id"], shown.json()["workspace"]) == (200, made.json()["id"], running.ids["other"])
    assert admin.delete(made.headers["location"]).status_code == 204
    assert admin.get(made.headers["location"]).json()["revoked_at"] is not None
    assert made.json()["id"] not in {row["id"] for row in admin.get("/v1/keys").json()["data"]}


def test_an_admin_of_another_workspace_finds_its_own_keys_alone(running: Running, made: httpx.Response):
    with running.client("stranger") as stranger:
        assert stranger.get(made.headers["location"]).status_code == 200
        for theirs in (stranger.get(f"/v1/keys/{running.ids['writer_key']}"), stranger.delete(f"/v1/keys/{running.ids['writer_key']}")):
            assert problem(theirs)["code"] == "not_found"
