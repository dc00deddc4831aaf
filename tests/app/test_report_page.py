"""A report is JSON for programs and a page for people, by the same route."""

from __future__ import annotations

import pytest

from headstart.store.tables import Job
from tests.app.requests import JOB
from tests.app.service import Running, problem
from tests.rendering.reports import HOSTILE, hostile, report

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def job(running: Running, ids: dict[str, str]) -> str:
    """A job with a report, as a worker would have written it."""
    with running.client() as client:
        made: str = client.post("/v1/jobs", json=JOB).json()["id"]
    with running.services.database.write() as session:
        session.get_one(Job, made).report = report().model_dump(mode="json")
    return made


@pytest.mark.parametrize(
    ("accept", "query", "html"),
    [
        (BROWSER, "", True),
        ("text/html", "", True),
        ("*/*", "", False),
        ("application/json", "", False),
        ("application/json, text/html", "", False),
        ("application/json", "?format=html", True),
        (BROWSER, "?format=json", False),
    ],
)
def test_html_is_given_to_who_asks_for_it(running: Running, job: str, accept: str, query: str, html: bool):  # noqa: FBT001
    with running.client() as client:
        response = client.get(f"/v1/jobs/{job}/report{query}", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"] == ("text/html; charset=utf-8" if html else "application/json")
    assert ("What the transfer was worth" in response.text) == html


def test_the_page_may_load_and_run_nothing(running: Running, job: str):
    with running.services.database.write() as session:
        session.get_one(Job, job).report = hostile().model_dump(mode="json")
    with running.client() as client:
        response = client.get(f"/v1/jobs/{job}/report?format=html")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert policy.endswith("frame-ancestors 'none'; sandbox")
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert HOSTILE[0] not in response.text
    assert "backbone <bdi>minilm-l6</bdi>" in response.text


def test_another_format_is_refused(running: Running, job: str):
    with running.client() as client:
        response = client.get(f"/v1/jobs/{job}/report?format=pdf")
    assert response.status_code == 422
    assert problem(response)["code"] == "invalid_field"


def test_a_page_that_is_not_there_is_a_problem(running: Running, ids: dict[str, str]):
    with running.client() as client:
        made = client.post("/v1/jobs", json=JOB).json()["id"]
        response = client.get(f"/v1/jobs/{made}/report", headers={"Accept": BROWSER})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
