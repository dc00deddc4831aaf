"""The reader role: one untrusted upload, in a process that can do nothing else; used once."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

from headstart.blobs.local import file_sha256
from headstart.data.joining import ParentTable
from headstart.data.limits import ReadLimits, confine
from headstart.data.reading import InvalidDataset, read_dataset
from headstart.errors import EngineFault
from worker.child.channel import Channel, Serve
from worker.messages import Message

OPEN_FILES = 64


def prepare(channel: Channel) -> Serve:
    channel.say("ready")
    return serve


def serve(request: Message, channel: Channel) -> None:
    """Read one dataset and exit."""
    confine(request["memory_bytes"], request["cpu_seconds"], request["file_bytes"], OPEN_FILES)
    try:
        parent = None if request["parent"] is None else parent_table(request["parent"])
        profile = read_dataset(
            Path(request["source"]),
            Path(request["target"]),
            format=request["format"],
            types=request["types"],
            mode=request["mode"],
            limits=ReadLimits(max_kept_problems=request["max_problems"]),
            parent=parent,
        )
        digest = file_sha256(Path(request["target"]))
        channel.say("done", profile=profile.model_copy(update={"table_sha256": digest}).model_dump(mode="json"))
    except InvalidDataset as invalid:
        problems = [problem.model_dump() for problem in invalid.problems]
        channel.failed(invalid, problems=problems, problem_count=invalid.problem_count)
    except EngineFault as fault:
        channel.failed(fault)
    except MemoryError:
        channel.failed(EngineFault("out_of_memory", "Reading the file takes more memory than is allowed.", "Split the file."))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        channel.failed(EngineFault("disk_full", "There was no room to store the table.", "Free some space, then upload again."))
    sys.exit(0)


def parent_table(asked: dict[str, Any]) -> ParentTable:
    """The table that the new rows are joined with.

    Raises:
        EngineFault: `bad_data`, it is not what reading it wrote.
    """
    path = Path(asked["table"])
    try:
        whole = asked["sha256"] is None or file_sha256(path) == asked["sha256"]
    except FileNotFoundError:
        whole = False
    if not whole:
        raise EngineFault("bad_data", "The stored table of the version before is damaged.", "Upload all rows as a new version.")
    return ParentTable(path, asked["how"], asked["key"])
