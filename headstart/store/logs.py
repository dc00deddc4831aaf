"""The log of a job: lines for people, by the attempts themselves and by what begins and ends them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from headstart.specs import jobs as specs
from headstart.specs.jobs import LogLevel
from headstart.store.tables import Job, LogLine

MOST_LINES = 10_000
"""Of one job. What begins and ends an attempt is written beyond it too: a few lines, and the ones that people look for."""

MOST_CHARACTERS = 1_000
FULL = f"The log holds {MOST_LINES:,} lines; what an attempt says from here on is not kept."


@dataclass(frozen=True, slots=True)
class Said:
    """A line before it has a number."""

    message: str
    at: datetime
    level: LogLevel = "info"


def add_line(session: Session, job_id: str, said: Said, *, attempt: int) -> None:
    """Write how an attempt began or ended; the caller has changed the job in this transaction, and so holds its row."""
    _append(session, job_id, [said], attempt, after=_last_seq(session, job_id))


def add_lines(session: Session, job: Job, lines: Sequence[Said]) -> None:
    """Write what the present attempt says, as far as there is room; the caller holds the job's row."""
    if not lines:
        return
    last = _last_seq(session, job.id)
    kept = list(lines[: max(0, MOST_LINES - 1 - last)])
    if len(kept) < len(lines) and not _is_full(session, job.id):
        kept.append(Said(FULL, lines[-1].at, "warning"))
    _append(session, job.id, kept, job.attempt, after=last)


def list_lines(session: Session, job_id: str, *, after: int, limit: int) -> list[LogLine]:
    """Oldest first, those numbered above `after`."""
    query = select(LogLine).where(LogLine.job_id == job_id, LogLine.seq > after).order_by(LogLine.seq).limit(limit)
    return list(session.scalars(query))


def view(line: LogLine) -> specs.LogLine:
    return specs.LogLine.model_validate(
        {"object": "log", "seq": line.seq, "attempt": line.attempt, "at": line.at, "level": line.level, "message": line.message}
    )


def _last_seq(session: Session, job_id: str) -> int:
    return session.scalar(select(func.max(LogLine.seq)).where(LogLine.job_id == job_id)) or 0


def _is_full(session: Session, job_id: str) -> bool:
    told = exists().where(LogLine.job_id == job_id, LogLine.seq >= MOST_LINES, LogLine.message == FULL)
    return bool(session.scalar(select(told)))


def _append(session: Session, job_id: str, lines: Sequence[Said], attempt: int, *, after: int) -> None:
    session.add_all(
        LogLine(job_id=job_id, seq=seq, attempt=attempt, at=said.at, level=said.level, message=_cut(said.message))
        for seq, said in enumerate(lines, start=after + 1)
    )
    session.flush()


def _cut(message: str) -> str:
    return message if len(message) <= MOST_CHARACTERS else message[: MOST_CHARACTERS - 1] + "…"
