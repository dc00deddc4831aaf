"""Calls about jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headstart.client.protocol import Call, answer, body, fresh_key, query, route, text
from headstart.specs.jobs import Event, Job, JobSpec, LogLine, Metric
from headstart.specs.pages import Page
from headstart.specs.plans import Plan
from headstart.specs.reports import Report


def create_plan(spec: JobSpec | Mapping[str, Any]) -> Call[Plan]:
    return Call("POST", route("plans"), answer(Plan), content=body(spec))


def create_job(spec: JobSpec | Mapping[str, Any], *, idempotency_key: str | None = None) -> Call[Job]:
    return Call("POST", route("jobs"), answer(Job), content=body(spec), idempotency_key=fresh_key(idempotency_key))


def list_jobs(*, limit: int | None = None, after: str | None = None) -> Call[Page[Job]]:
    return Call("GET", route("jobs"), answer(Page[Job]), query(limit=limit, after=after))


def get_job(job: str, *, wait: int | None = None) -> Call[Job]:
    return Call("GET", route("jobs", job), answer(Job), query(wait=wait), wait_seconds=float(wait or 0))


def cancel_job(job: str, *, idempotency_key: str | None = None) -> Call[Job]:
    return Call("POST", route("jobs", job, "cancel"), answer(Job), idempotency_key=fresh_key(idempotency_key))


def list_job_events(job: str, *, limit: int | None = None, after: int | str | None = None) -> Call[Page[Event]]:
    return Call("GET", route("jobs", job, "events"), answer(Page[Event]), query(limit=limit, after=after))


def list_job_logs(job: str, *, limit: int | None = None, after: int | str | None = None) -> Call[Page[LogLine]]:
    return Call("GET", route("jobs", job, "logs"), answer(Page[LogLine]), query(limit=limit, after=after))


def list_job_metrics(job: str, *, limit: int | None = None, after: int | str | None = None) -> Call[Page[Metric]]:
    return Call("GET", route("jobs", job, "metrics"), answer(Page[Metric]), query(limit=limit, after=after))


def get_job_report(job: str) -> Call[Report]:
    return Call("GET", route("jobs", job, "report"), answer(Report))


def get_job_report_page(job: str) -> Call[str]:
    return Call("GET", route("jobs", job, "report"), text, query(format="html"), headers={"Accept": "text/html"})
