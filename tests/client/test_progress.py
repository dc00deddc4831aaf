"""What a waiting person sees."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from headstart.client.progress import Silence, watch
from headstart.specs.jobs import Job
from tests.client.conftest import Time
from tests.client.service import job


def seen(status: str, fraction: float) -> Job:
    progress = {"fraction": fraction, "step": 1, "steps": 2, "epoch": 0, "epochs": 1}
    return Job.model_validate(job(status=status, progress=progress, result=None))


def test_a_terminal_gets_one_bar_with_status_share_and_seconds():
    out = io.StringIO()
    with watch("job_1", show=True, console=Console(file=out, force_terminal=True, width=100)) as watcher:
        watcher.show(seen("training", 0.42))
    assert "job_1" in out.getvalue()
    assert "training" in out.getvalue()
    assert "42%" in out.getvalue()
    assert "0:00:0" in out.getvalue()


def test_a_pipe_gets_a_line_for_each_status_and_one_now_and_then(time: Time):
    out = io.StringIO()
    with watch("job_1", show=True, console=Console(file=out, width=100), clock=time.clock) as watcher:
        for _ in range(25):
            watcher.show(seen("training", 0.5))
            time.sleep(1)
        watcher.show(seen("evaluating", 0.9))
    assert out.getvalue().splitlines() == [
        "job_1 training 50% after 0 s",
        "job_1 training 50% after 10 s",
        "job_1 training 50% after 20 s",
        "job_1 evaluating 90% after 25 s",
    ]


def test_silence_says_nothing(capsys: pytest.CaptureFixture[str]):
    with watch("job_1", show=False) as watcher:
        watcher.show(seen("training", 0.5))
    assert isinstance(watcher, Silence)
    assert capsys.readouterr() == ("", "")
