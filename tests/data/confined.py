"""A confined process that reads one file after another, for bytes that may be the end of whoever reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MEMORY_BYTES = 2**31

PROGRAM = """
import json, sys
from pathlib import Path
from headstart.data.limits import ReadLimits, confine
from headstart.data.reading import InvalidDataset, read_dataset

confine(int(sys.argv[1]), 600, 2**30, 64)
for line in sys.stdin:
    request = json.loads(line)
    try:
        profile = read_dataset(Path(request["source"]), Path(request["target"]), format="parquet", types={}, limits=ReadLimits())
        print(json.dumps({"rows": profile.rows}), flush=True)
    except InvalidDataset as error:
        print(json.dumps(error.failure.model_dump()), flush=True)
"""


class ConfinedReader:
    """Reads Parquet files as a worker's child does; the table of a good one is at `target`."""

    def __init__(self, folder: Path) -> None:
        self.source, self.target = folder / "upload", folder / "table.arrow"
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(MEMORY_BYTES)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def verdict(self, content: bytes) -> dict[str, Any]:
        """The failure, or the number of rows; the process must live to tell it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.target.unlink(missing_ok=True)
        self.source.write_bytes(content)
        self.process.stdin.write(json.dumps({"source": str(self.source), "target": str(self.target)}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the reader ended with status {self.process.wait(30)}"
        verdict: dict[str, Any] = json.loads(answer)
        return verdict

    def close(self) -> None:
        self.process.communicate(timeout=30)
