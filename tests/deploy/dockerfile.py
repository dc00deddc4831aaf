"""A Dockerfile as a list of instructions, as far as ours goes: no heredocs, no escapes but the continued line."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """`stage` counts from 0."""

    stage: int
    word: str
    rest: str

    @property
    def words(self) -> list[str]:
        """A JSON list as it stands, anything else as a shell splits it."""
        return json.loads(self.rest) if self.rest.startswith("[") else shlex.split(self.rest)

    @property
    def pairs(self) -> dict[str, str]:
        return dict(word.split("=", 1) for word in self.words)


def read_dockerfile(path: Path) -> list[Instruction]:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[Instruction] = []
    stage = -1
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        stage += word == "FROM"
        found.append(Instruction(stage, word, rest.strip()))
    return found


def options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The leading `--name=value` words, and the others."""
    named = [word for word in words if word.startswith("--") and "=" in word]
    return dict(word.removeprefix("--").split("=", 1) for word in named), [word for word in words if word not in named]
