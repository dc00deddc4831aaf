"""Planning in the world that `factories` makes."""

from __future__ import annotations

import pytest

from headstart.planning.plan import make_plan
from tests.planning.factories import HARDWARE, anatomy, dataset, spec


@pytest.fixture
def plan():
    """Plan with overrides: `plan(profile=…, anatomy=…, hardware=…, budget=…, **spec_overrides)`."""

    def run(profile=None, backbone=None, hardware=HARDWARE, budget=2**30, **overrides):
        return make_plan(spec(**overrides), profile or dataset(), backbone or anatomy(), hardware, cache_budget_bytes=budget)

    return run
