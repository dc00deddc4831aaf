"""Plans: what a job would do, without starting it. Arithmetic over stored anatomy and measured hardware; nothing is loaded."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.orm import Session

from app.dependencies import CallerHere, Reading, Shared
from app.openapi import problems
from app.requests import StrictRoute
from app.services import Services
from headstart.planning.plan import make_plan
from headstart.specs.jobs import JobSpec
from headstart.specs.plans import Plan
from headstart.store import backbones, datasets, workers
from headstart.store.tables import Backbone, Dataset

router = APIRouter(route_class=StrictRoute, tags=["jobs"])


@router.post("/v1/plans", responses=problems(400, 409, 413, 415))
def create_plan(body: JobSpec, caller: CallerHere, session: Reading, services: Shared) -> Plan:
    """A dry run: boundary, what learns, the cache, time and memory. A job of this spec carries out this plan."""
    return planned(session, caller.workspace_id, body.resolved(), services)[0]


def planned(session: Session, workspace: str, spec: JobSpec, services: Services) -> tuple[Plan, Dataset, Backbone]:
    """The plan of a spec, and the rows that it names."""
    dataset = datasets.resolve_dataset(session, workspace, spec.dataset, pointer="/dataset")
    backbone = backbones.resolve_backbone(session, workspace, spec.backbone, pointer="/backbone")
    plan = make_plan(
        spec,
        datasets.profile_of(dataset),
        backbones.anatomy_of(backbone),
        workers.newest_hardware(session),
        cache_budget_bytes=services.settings.cache_bytes,
    )
    return plan, dataset, backbone
