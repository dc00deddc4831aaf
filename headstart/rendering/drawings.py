"""The geometry of a report's drawings; the template writes them as SVG.

Lengths are in units of the drawing's view box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.specs.reports import Bin, ClassReport, TaskReport

PLOT = 240.0
"""Edge of the square of a reliability diagram."""
LARGEST_DOT = 9.0
HEAT = 480.0
"""Edge of a heat map."""
NAMED_CELLS, COUNTED_CELLS = 30, 14
"""Classes up to which a heat map has names, and numbers in its cells."""
MOST_BARS = 60
BAR, BAR_WIDTH = 18.0, 300.0
NAME_CHARS = 18


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    radius: float
    title: str


@dataclass(frozen=True, slots=True)
class Cell:
    x: float
    y: float
    count: int
    strength: float
    """Share of the row, 0 to 1."""
    title: str
    right: bool


@dataclass(frozen=True, slots=True)
class Heat:
    cells: list[Cell]
    edge: float
    """Of one cell."""
    names: list[str]
    counted: bool


@dataclass(frozen=True, slots=True)
class Bars:
    classes: list[ClassReport]
    left_out: int
    height: float


def dots(bins: Sequence[Bin]) -> list[Dot]:
    """A reliability diagram: confidence to the right, accuracy upwards, area by what a bin holds."""
    most = max((each.count for each in bins), default=1)
    return [
        Dot(
            x=_rounded(each.confidence * PLOT),
            y=_rounded((1 - each.accuracy) * PLOT),
            radius=_rounded(2 + (LARGEST_DOT - 2) * (each.count / most) ** 0.5),
            title=f"{each.count:,} answers: confidence {each.confidence:.3f}, accuracy {each.accuracy:.3f}",
        )
        for each in bins
    ]


def heat(task: TaskReport) -> Heat | None:
    """A confusion matrix; cells that hold nothing are not drawn. None where there is none."""
    if not task.confusion:
        return None
    classes, edge = task.classes, HEAT / len(task.confusion)
    cells = []
    for true, counts in enumerate(task.confusion):
        total = sum(counts)
        for said, count in enumerate(counts):
            if count:
                title = f"{classes[true]} → {classes[said]}: {count:,}"
                cells.append(Cell(_rounded(said * edge), _rounded(true * edge), count, round(count / total, 3), title, right=true == said))
    small = len(classes) <= NAMED_CELLS
    return Heat(cells, _rounded(edge), [short(name) for name in classes] if small else [], counted=len(classes) <= COUNTED_CELLS)


def bars(task: TaskReport) -> Bars | None:
    """F1 of each class; of very many the worst."""
    if not task.per_class:
        return None
    shown = task.per_class
    if len(shown) > MOST_BARS:
        shown = sorted(shown, key=lambda each: each.f1)[:MOST_BARS]
    return Bars(list(shown), len(task.per_class) - len(shown), len(shown) * BAR)


def confusions(task: TaskReport) -> list[tuple[str, str, int]]:
    """(true, predicted, count) of every cell that is not 0, the most frequent mistakes first, then what is right."""
    found = [(true != said, count, true, said) for true, counts in enumerate(task.confusion) for said, count in enumerate(counts) if count]
    found.sort(key=lambda each: (not each[0], -each[1], each[2], each[3]))
    return [(task.classes[true], task.classes[said], count) for _, count, true, said in found]


def short(name: str) -> str:
    return name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 1] + "…"


def _rounded(value: float) -> float:
    return round(value, 2)
