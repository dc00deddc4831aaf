"""The Python client: `Headstart` has one plain method for each operation, and a few that do a whole errand; `AsyncHeadstart` awaits."""

from headstart.client.asynchronous import AsyncHeadstart
from headstart.client.protocol import Retries
from headstart.client.sugar import JobHandle, ModelHandle
from headstart.client.sync import Headstart

__all__ = ["AsyncHeadstart", "Headstart", "JobHandle", "ModelHandle", "Retries"]
