"""What a model reference means, remembered for a second; a miss is always read again, so that a brand-new model is never a 404."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from headstart.errors import not_found
from headstart.store import models
from headstart.store.database import Database
from headstart.store.models import Served

REMEMBERED_SECONDS = 1.0
MOST_REMEMBERED = 4096


class References:
    """Used on the event loop alone, but for `read`."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._known: OrderedDict[tuple[str, str], tuple[float, Served]] = OrderedDict()

    def recall(self, workspace_id: str, reference: str) -> Served | None:
        until, served = self._known.get((workspace_id, reference), (0.0, None))
        return served if self._clock() < until else None

    def remember(self, workspace_id: str, reference: str, served: Served) -> None:
        self._known[workspace_id, reference] = (self._clock() + REMEMBERED_SECONDS, served)
        self._known.move_to_end((workspace_id, reference))
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)

    def read(self, workspace_id: str, reference: str) -> Served:
        """Blocking.

        Raises:
            NotFound: there is no such model, version or alias.
        """
        with self._database.read() as session:
            served = models.find_served(session, workspace_id, reference)
        if served is None:
            raise not_found("model")
        return served
