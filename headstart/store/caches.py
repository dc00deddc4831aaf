"""Feature caches: what the worker of each machine last told of the one it has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from headstart.specs import cache as specs
from headstart.store.tables import Backbone, Cache

COUNTS = ("bytes", "keys", "rows_computed", "rows_reused")


def record(
    session: Session,
    cache_id: str,
    *,
    host: str,
    budget_bytes: int,
    keys: Mapping[str, Any],
    workspaces: Mapping[str, Mapping[str, int]],
    started_at: datetime,
    now: datetime,
) -> None:
    """Write down what a machine's cache holds now.

    Args:
        keys: by digest, what the key stands for, with `rows`, `bytes` and `last_used_at`.
        workspaces: by id, any of `COUNTS`.
    """
    row = Cache(
        id=cache_id,
        host=host[:255],
        budget_bytes=budget_bytes,
        keys=dict(keys),
        workspaces={workspace: dict(counts) for workspace, counts in workspaces.items()},
        started_at=started_at,
        updated_at=now,
    )
    session.merge(row)
    session.flush()


def view_caches(session: Session, *, only: str | None) -> specs.Cache:
    """All that is known, or what of it belongs to the workspace `only`, which tells nothing of the others."""
    rows = session.scalars(select(Cache).order_by(Cache.started_at.desc(), Cache.id)).all()
    names = _backbone_names(session, {about["backbone_sha256"] for row in rows for about in row.keys.values()})
    machines = [_machine(row, names, only) for row in rows]
    sums = {
        name: sum(getattr(machine, name) for machine in machines)
        for name in ("bytes", "budget_bytes", "key_count", "rows_computed", "rows_reused")
    }
    return specs.Cache(object="cache", **sums, hit_rate=_rate(sums["rows_computed"], sums["rows_reused"]), machines=machines)


def _machine(row: Cache, names: Mapping[tuple[str, str], str], only: str | None) -> specs.MachineCache:
    seen = [counts for workspace, counts in row.workspaces.items() if only in {None, workspace}]
    bytes_, keys, computed, reused = (sum(counts.get(name, 0) for counts in seen) for name in COUNTS)
    return specs.MachineCache(
        id=row.id,
        host=row.host,
        bytes=bytes_,
        budget_bytes=row.budget_bytes,
        key_count=keys,
        rows_computed=computed,
        rows_reused=reused,
        hit_rate=_rate(computed, reused),
        keys=[
            specs.CacheKey.model_validate(
                {"object": "cache_key", "id": digest, "backbone": names.get((about["workspace"], about["backbone_sha256"])), **about}
            )
            for digest, about in row.keys.items()
            if only in {None, about["workspace"]}
        ],
        started_at=row.started_at,
        updated_at=row.updated_at if only is None else None,
    )


def _backbone_names(session: Session, digests: set[str]) -> dict[tuple[str, str], str]:
    """By workspace and sha256, the name of the newest backbone that is not deleted."""
    if not digests:
        return {}
    query = select(Backbone.workspace_id, Backbone.sha256, Backbone.name).where(Backbone.sha256.is_not(None), Backbone.deleted_at.is_(None))
    found = session.execute(query.order_by(Backbone.id)).all()
    return {(workspace, sha256): name for workspace, sha256, name in found if sha256 in digests}


def _rate(computed: int, reused: int) -> float | None:
    return round(reused / (computed + reused), 4) if computed + reused else None
