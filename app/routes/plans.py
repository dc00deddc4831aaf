"""Plans: what a job would do, without starting it. Arithmetic over stored anatomy and measured hardware; nothing is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from sqlalchemy.orm import Session

from app.dependencies import CallerHere, Reading, Shared
from app.openapi import problems
from app.requests import StrictRoute
from app.services import Services
from headstart.planning.plan import make_plan
from headstart.planning.relationship import Learnt
from headstart.planning.sources import Source
from headstart.specs.history import kind_of
from headstart.specs.jobs import JobSpec
from headstart.specs.plans import Plan
from headstart.store import backbones, datasets, history, origins, workers
from headstart.store.origins import Origin
from headstart.store.tables import Dataset

router = APIRouter(route_class=StrictRoute, tags=["jobs"])


@router.post("/v1/plans", responses=problems(400, 409, 413, 415))
def create_plan(body: JobSpec, caller: CallerHere, session: Reading, services: Shared) -> Plan:
    """A dry run: boundary, what learns, the cache, time and memory. A job of this spec carries out this plan."""
    return planned(session, caller.workspace_id, body.resolved(), services).plan


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of a spec, and the rows that the spec names; `others` are the datasets of its tasks."""

    plan: Plan
    dataset: Dataset
    others: list[Dataset]
    origin: Origin


def planned(session: Session, workspace: str, spec: JobSpec, services: Services) -> Planned:
    named = {f"/tasks/{number}/dataset": task.dataset for number, task in enumerate(spec.tasks) if task.dataset is not None}
    found = datasets.resolve_datasets(session, workspace, {"/dataset": spec.dataset, **named})
    dataset, others = found[spec.dataset], {reference: found[reference] for reference in named.values()}
    origin = origins.resolve_origin(session, workspace, spec.backbone, pointer="/backbone")
    if spec.init == "random":  # of a model that stands in for a backbone only the architecture is left
        origin = Origin(origin.backbone)
    plan = make_plan(
        spec,
        datasets.profile_of(dataset),
        backbones.anatomy_of(origin.backbone),
        workers.newest_hardware(session),
        dataset=datasets.versioned(dataset),
        named={reference: Source(datasets.versioned(row), datasets.profile_of(row)) for reference, row in others.items()},
        parent=origin.name,
        source=_learnt(origin),
        cache_budget_bytes=services.settings.cache_bytes,
        history=history.jobs_like(session, workspace, kind_of(spec.method, spec.tasks[0].type)),
    )
    return Planned(plan, dataset, list(others.values()), origin)


def _learnt(origin: Origin) -> Learnt | None:
    """What the model that stands in for a backbone has learnt."""
    if origin.name is None:
        return None
    return Learnt(origin.name, origin.datasets, {label for task in origin.tasks for label in task.classes})
