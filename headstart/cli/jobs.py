"""`headstart jobs`: start, follow, cancel, and read what came out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from headstart.cli import tables
from headstart.cli.session import After, Follow, IdempotencyKey, Json, Limit, read_text, session
from headstart.client import JobHandle, streams
from headstart.client import jobs as calls
from headstart.errors import BadInput
from headstart.specs.pages import DEFAULT_LIMIT, MAX_LIMIT

app = typer.Typer(help="Adaptation runs: start, follow, cancel.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
Timeout = Annotated[float | None, typer.Option("--timeout", min=0, metavar="SECONDS", help="Stop waiting then; the job goes on.")]


@app.command("list")
def list_jobs(context: typer.Context, *, limit: Limit = DEFAULT_LIMIT, after: After = None, as_json: Json = False) -> None:
    """List jobs, newest first."""
    with session(context, as_json=as_json) as here:
        here.show(calls.list_jobs(limit=limit, after=after), tables.jobs)


@app.command("get")
def get_job(
    context: typer.Context,
    job: Id,
    *,
    wait: Annotated[int | None, typer.Option(min=0, max=60, help="Answer when it has ended, or after so many seconds.")] = None,
    as_json: Json = False,
) -> None:
    """Show one job."""
    with session(context, as_json=as_json) as here:
        here.show(calls.get_job(job, wait=wait), tables.job)


@app.command("create")
def create_job(
    context: typer.Context,
    spec: Annotated[
        str | None, typer.Argument(metavar="[SPEC]", help="A job spec as a JSON file, or - for stdin; instead of the options.")
    ] = None,
    *,
    dataset: Annotated[str | None, typer.Option(help="Id, name or name:2.")] = None,
    text: Annotated[str | None, typer.Option(help="The column that holds the text [default: text].")] = None,
    text_pair: Annotated[str | None, typer.Option(help="The column of a second text, read with the first.")] = None,
    tokens: Annotated[str | None, typer.Option(help="The column that holds lists of words, for a target of tags.")] = None,
    image: Annotated[str | None, typer.Option(help="The column that holds the image [default: the dataset's, if it has one].")] = None,
    audio: Annotated[str | None, typer.Option(help="The column that holds the recording [default: the dataset's, if it has one].")] = None,
    target: Annotated[str, typer.Option(help="The column that holds the label.")] = "label",
    backbone: Annotated[str, typer.Option(help="Id, name or source; a source is registered if need be.")] = "demo:minilm-l6",
    model: Annotated[str | None, typer.Option(help="The model that gets the new version [default: the dataset's name].")] = None,
    layer: Annotated[str | None, typer.Option(help="Whose output to take [default: the last hidden state].")] = None,
    pooling: Annotated[str | None, typer.Option(help="mean, first, max or pooler.")] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes the split.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    timeout: Timeout = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Start a job from a spec file or from options."""
    with session(context, as_json=as_json) as here:
        if spec is not None:
            handle = JobHandle(here.client, here.client.create_job(_read_spec(spec), idempotency_key=idempotency_key))
        elif dataset is not None:
            handle = here.client.adapt(
                dataset,
                text=text,
                text_pair=text_pair,
                tokens=tokens,
                image=image,
                audio=audio,
                target=target,
                backbone=backbone,
                model=model,
                layer=layer,
                pooling=pooling,
                seed=seed,
                idempotency_key=idempotency_key,
            )
        else:
            raise typer.BadParameter("give a spec file, or --dataset with --text and --target")
        if wait:
            _wait(handle, timeout)
        here.show(calls.get_job(handle.id), tables.job)


@app.command("wait")
def wait_for_job(context: typer.Context, job: Id, *, timeout: Timeout = None, as_json: Json = False) -> None:
    """Follow a job to its end; exit code 1 when it failed or was cancelled."""
    with session(context, as_json=as_json) as here:
        _wait(here.client.job(job), timeout)
        here.show(calls.get_job(job), tables.job)


@app.command("cancel")
def cancel_job(context: typer.Context, job: Id, *, as_json: Json = False) -> None:
    """Cancel a job."""
    with session(context, as_json=as_json) as here:
        here.show(calls.cancel_job(job), tables.job)


@app.command("events")
def list_job_events(
    context: typer.Context, job: Id, *, follow: Follow = False, limit: Limit = MAX_LIMIT, after: After = None, as_json: Json = False
) -> None:
    """List what happened to a job, or watch it happen."""
    with session(context, as_json=as_json) as here:
        if follow:
            here.follow(streams.job_events(job, after=after), tables.event_line)
        else:
            here.show(calls.list_job_events(job, limit=limit, after=after), tables.events)


@app.command("logs")
def list_job_logs(
    context: typer.Context, job: Id, *, follow: Follow = False, limit: Limit = MAX_LIMIT, after: After = None, as_json: Json = False
) -> None:
    """Read a job's log, or watch it grow."""
    with session(context, as_json=as_json) as here:
        if follow:
            here.follow(streams.job_logs(job, after=after), tables.log_line)
        else:
            here.show(calls.list_job_logs(job, limit=limit, after=after), tables.logs)


@app.command("metrics")
def list_job_metrics(context: typer.Context, job: Id, *, limit: Limit = MAX_LIMIT, after: After = None, as_json: Json = False) -> None:
    """List what was measured while a job trained and when it was evaluated."""
    with session(context, as_json=as_json) as here:
        here.show(calls.list_job_metrics(job, limit=limit, after=after), tables.metrics)


@app.command("report")
def get_job_report(
    context: typer.Context,
    job: Id,
    *,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it there, as one page that a browser opens without a network.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what the transfer was worth."""
    with session(context, as_json=as_json) as here:
        if html is None:
            here.show(calls.get_job_report(job), tables.report)
            return
        html.write_text(here.client.get_job_report_page(job), encoding="utf-8")
        here.say(f"The report is in {html}.")


def _wait(handle: JobHandle, timeout: float | None) -> None:
    try:
        handle.wait(timeout=timeout)
    except KeyboardInterrupt:
        sys.stderr.write(f"The job goes on: headstart jobs wait {handle.id}\n")
        raise


def _read_spec(name: str) -> dict[str, Any]:
    text = read_text(name)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadInput("malformed_json", "The spec is not a JSON object.", "It holds at least backbone, dataset and tasks.")
    return value
