"""Truly clean environments without a network: what distributions say they need, linked in from this one, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.parser import Parser
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Wheel:
    """One that was built from this checkout."""

    path: Path

    @property
    def requires(self) -> list[str]:
        with zipfile.ZipFile(self.path) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])


@dataclass
class Closure:
    """All that a requirement pulls in, by canonical name."""

    wheels: dict[str, Wheel] = field(default_factory=dict)
    installed: dict[str, Distribution] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for dist in self.installed.values() for _, path in files_of(dist))


def closure_of(wanted: str, ours: Mapping[str, Wheel]) -> Closure:
    """Follow the metadata, markers judged for this interpreter.

    Args:
        wanted: a requirement, with extras if need be.
        ours: wheels by canonical name; all others are the distributions installed here.

    Raises:
        PackageNotFoundError: something that is required is not installed here.
    """
    found, waiting = Closure(), [Requirement(wanted)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name in ours:
            found.wheels[name] = ours[name]
            needs = ours[name].requires
        else:
            found.installed[name] = distribution(name)
            needs = found.installed[name].requires or []
        waiting += _that_apply(needs, extras)
    return found


def _that_apply(needs: Iterable[str], extras: frozenset[str]) -> list[Requirement]:
    parsed = [Requirement(need) for need in needs]
    return [need for need in parsed if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in {"", *extras})]


def files_of(dist: Distribution) -> list[tuple[Path, Path]]:
    """Where each file goes below site-packages, and where it is; from RECORD, scripts left out."""
    listed = [(Path(file), Path(str(dist.locate_file(file)))) for file in dist.files or []]
    return [(name, path) for name, path in listed if ".." not in name.parts and path.is_file()]


def make_environment(folder: Path, closure: Closure) -> Path:
    """An environment of its own that holds the closure; gives its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    packages = next(folder.glob("lib/python*/site-packages"))
    for dist in closure.installed.values():
        for name, path in files_of(dist):
            target = packages / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(path, target)
    for wheel in closure.wheels.values():
        with zipfile.ZipFile(wheel.path) as archive:
            archive.extractall(packages)
    return folder / "bin" / "python"


def _link(path: Path, target: Path) -> None:
    if target.exists():  # namespace packages share files
        return
    try:
        os.link(path, target)
    except OSError:  # another file system
        target.symlink_to(path)


def clean_variables(home: Path) -> dict[str, str]:
    """Nothing that would let one environment see another."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}
