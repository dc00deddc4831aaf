"""The job's transition table: what may follow what. Nothing else decides."""

from __future__ import annotations

from collections.abc import Mapping

from headstart.specs.jobs import JobStatus

Q, P, T, E, U = JobStatus.QUEUED, JobStatus.PREPARING, JobStatus.TRAINING, JobStatus.EVALUATING, JobStatus.PUBLISHING
S, C, X, F = JobStatus.SUCCEEDED, JobStatus.CANCELLING, JobStatus.CANCELLED, JobStatus.FAILED

NEXT: Mapping[JobStatus, frozenset[JobStatus]] = {
    Q: frozenset({P, X}),
    P: frozenset({T, C, F, Q}),
    T: frozenset({E, C, F, Q}),
    E: frozenset({U, C, F, Q}),
    U: frozenset({S, C, F, Q}),
    C: frozenset({X}),
    S: frozenset(),
    X: frozenset(),
    F: frozenset(),
}
"""A running state goes back to `queued` when its lease is lost or given back."""

RUNNING: frozenset[JobStatus] = frozenset({P, T, E, U})
TERMINAL: frozenset[JobStatus] = frozenset(status for status in JobStatus if status.terminal)


def may_follow(before: JobStatus, after: JobStatus) -> bool:
    return after in NEXT[before]
