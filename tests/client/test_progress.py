"""What a waiting person sees."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from headstart.client.progress import Silence, TimeLeft, spoken, watch
from headstart.specs.jobs import Job
from tests.client.conftest import Time
from tests.client.service import ESTIMATE, PLAN, job


def seen(status: str, fraction: float, *, estimate: float = 20.0, attempt: int = 1) -> Job:
    """A job as it is at that moment, which was planned to take so many seconds in all."""
    progress = {"fraction": fraction, "step": 1, "steps": 2, "epoch": 0, "epochs": 1}
    parts = {"preparing_seconds": estimate / 2, "training_seconds": estimate / 4, "evaluating_seconds": estimate / 4}
    plan = PLAN | {"estimate": ESTIMATE | parts}
    return Job.model_validate(job(status=status, progress=progress, plan=plan, attempt=attempt, result=None))


def test_a_terminal_gets_one_bar_with_status_share_and_seconds():
    out = io.StringIO()
    with watch("job_1", show=True, console=Console(file=out, force_terminal=True, width=100)) as watcher:
        watcher.show(seen("training", 0.42))
    assert "job_1" in out.getvalue()
    assert "training" in out.getvalue()
    assert "42%" in out.getvalue()
    assert "0:00:0" in out.getvalue()
    assert "12 s left" in out.getvalue()


def test_a_pipe_gets_a_line_for_each_status_and_one_now_and_then(time: Time):
    out = io.StringIO()
    with watch("job_1", show=True, console=Console(file=out, width=100), clock=time.clock) as watcher:
        for _ in range(25):
            watcher.show(seen("training", 0.5))
            time.sleep(1)
        watcher.show(seen("evaluating", 0.9))
        watcher.show(seen("succeeded", 1.0))
    assert out.getvalue().splitlines() == [
        "job_1 training 50% after 0 s, 10 s left",
        "job_1 training 50% after 10 s, 0 s left",
        "job_1 training 50% after 20 s, — left",
        "job_1 evaluating 90% after 25 s, 6 s left",
        "job_1 succeeded 100% after 25 s",
    ]


def test_silence_says_nothing(capsys: pytest.CaptureFixture[str]):
    with watch("job_1", show=False) as watcher:
        watcher.show(seen("training", 0.5))
    assert isinstance(watcher, Silence)
    assert capsys.readouterr() == ("", "")


def test_time_left_is_the_plans_at_first_and_counts_down(time: Time):
    left = TimeLeft(time.clock)
    assert left.after(seen("preparing", 0.0, estimate=90)) == 90
    time.sleep(30)
    assert left.after(seen("preparing", 0.0, estimate=90)) == 60


def test_time_left_of_a_job_that_waits_does_not_count_down(time: Time):
    left = TimeLeft(time.clock)
    for _ in range(3):
        assert left.after(seen("queued", 0.0, estimate=5, attempt=0)) == 5
        time.sleep(60)
    assert left.after(seen("preparing", 0.0, estimate=5)) == 5


def test_time_left_is_not_known_when_nothing_moves_for_longer_than_thought(time: Time):
    left = TimeLeft(time.clock)
    left.after(seen("preparing", 0.0, estimate=5))
    time.sleep(6)
    assert left.after(seen("preparing", 0.0, estimate=5)) is None
    assert TimeLeft(time.clock).after(seen("preparing", 0.0, estimate=0)) is None


@pytest.mark.parametrize("estimate", [10.0, 100.0, 1000.0])
def test_time_left_comes_to_what_is_seen_however_wrong_the_plan_was_and_without_jumps(time: Time, estimate: float):
    left, told = TimeLeft(time.clock), []
    for second in range(100):
        value = left.after(seen("training", second / 100, estimate=estimate))
        assert value is not None
        told.append(value)
        time.sleep(1)
    for second, value in list(enumerate(told))[40:]:
        assert value == pytest.approx(100 - second, rel=0.2)
    assert max(abs(after - before) for before, after in itertools.pairwise(told[40:])) < 3


def test_time_left_survives_a_pause_without_forgetting_the_speed(time: Time):
    left = TimeLeft(time.clock)
    for second in range(301):
        told = left.after(seen("training", second / 1000, estimate=1000))
        time.sleep(1)
    time.sleep(29)  # an epoch is validated
    after = left.after(seen("training", 0.301, estimate=1000))
    assert told == pytest.approx(700)
    assert after == pytest.approx(1000, rel=0.15)


def test_next_attempt_begins_with_the_plan_again(time: Time):
    left = TimeLeft(time.clock)
    for second in range(50):
        left.after(seen("training", second / 100, estimate=10))
        time.sleep(1)
    assert left.after(seen("preparing", 0.0, estimate=10, attempt=2)) == 10


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1e6), st.sampled_from(["queued", "preparing", "training", "failed"]), st.integers(0, 3))
    )
)
def test_time_left_is_never_negative_whatever_a_job_does(looks):
    time = Time()
    left = TimeLeft(time.clock)
    for fraction, seconds, status, attempt in looks:
        value = left.after(seen(status, fraction, attempt=attempt))
        assert value is None or value >= 0
        time.sleep(seconds)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "—"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3599.7, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_seconds_are_spoken(seconds: float | None, words: str):
    assert spoken(seconds) == words
