"""What the columns of a dataset are for, by their profiles and names alone: ids, splits, groups, inputs and targets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from headstart.specs.datasets import MEDIA_TYPES, SPLITS, ColumnProfile, DatasetProfile
from headstart.specs.labels import MAX_LABEL_CHARS

MIN_ROWS = 3
"""Fewer rows tell nothing of what is the same in all, or different in each."""
_TARGETS = frozenset(
    [
        "label",
        "target",
        "class",
        "category",
        "intent",
        "sentiment",
        "emotion",
        "topic",
        "rating",
        "score",
        "star",
        "tag",
        "genre",
        "domain",
        "digit",
        "answer",
        "outcome",
        "grade",
        "gold",
        "y",
    ]
)
_GROUPS = frozenset(
    [
        "user",
        "speaker",
        "author",
        "writer",
        "patient",
        "subject",
        "person",
        "customer",
        "session",
        "dialog",
        "dialogue",
        "conversation",
        "thread",
        "document",
        "doc",
        "group",
        "family",
    ]
)
_IDS = frozenset(["id", "uuid", "guid", "index", "idx", "key", "no", "nr", "number", "row", "file", "filename", "path", "url", "hash"])
_SPLITS = frozenset(["split", "fold", "set", "subset", "partition"])
_INTEGER = re.compile(r"[+-]?[0-9]+")


def is_called(name: str, words: frozenset[str]) -> bool:
    """Whether a word of a name is one of these, in one or in many: `user_ids` and `userId` hold `user` and `id`."""
    parts = re.split(r"[\W_0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    return any({part, part.removesuffix("s"), part.removesuffix("es"), part.removesuffix("ies") + "y"} & words for part in parts if part)


def is_called_target(name: str) -> bool:
    return is_called(name, _TARGETS)


@dataclass(slots=True)
class Roles:
    """The columns of a dataset by what they seem to be for; `texts` and `targets` the likeliest first."""

    split: ColumnProfile | None = None
    group: ColumnProfile | None = None
    ids: list[ColumnProfile] = field(default_factory=list)
    media: list[ColumnProfile] = field(default_factory=list)
    texts: list[ColumnProfile] = field(default_factory=list)
    tokens: list[ColumnProfile] = field(default_factory=list)
    targets: list[ColumnProfile] = field(default_factory=list)


def roles_of(profile: DatasetProfile) -> Roles:
    """Each column has one role at most."""
    roles = Roles(split=_split(profile))
    left = [column for column in profile.columns if column is not roles.split and present(column, profile.rows) > 0]
    roles.ids = [column for column in left if is_id(column, profile.rows)]
    left = [column for column in left if column not in roles.ids]
    groups = [column for column in left if _is_group(column, profile.rows)]
    roles.group = max(groups, key=lambda column: column.distinct, default=None)
    left = [column for column in left if column is not roles.group]
    roles.media = [column for column in left if column.type in MEDIA_TYPES]
    roles.tokens = [column for column in left if column.type == "tokens"]
    roles.targets = sorted((column for column in left if _is_target(column)), key=lambda column: not is_called_target(column.name))
    texts = [column for column in left if column.type == "text" and column not in roles.targets]
    roles.texts = sorted(texts, key=lambda column: -column.mean_length)
    return roles


def present(column: ColumnProfile, rows: int) -> int:
    """Rows that have something in the column."""
    return rows - column.missing


def is_all_different(column: ColumnProfile, rows: int) -> bool:
    there = present(column, rows)
    return there >= MIN_ROWS and column.distinct == there


def is_id(column: ColumnProfile, rows: int) -> bool:
    """Whether a column names its rows: different in each, by its name or by how short its values are and that they are no sentences."""
    if column.type not in {"text", "number", "category"} or not is_all_different(column, rows):
        return False
    return is_called(column.name, _IDS) and column.longest <= MAX_LABEL_CHARS


def is_multi_hot(column: ColumnProfile) -> bool:
    """Whether a column says yes or no by 1 and 0, as one of several does that stand for a label each."""
    return column.values is not None and 0 < len(column.values) <= 2 and column.values.keys() <= {"0", "1", "0.0", "1.0"}


def is_of_integers(column: ColumnProfile) -> bool:
    return bool(column.values) and all(_INTEGER.fullmatch(value) for value in column.values or ())


def are_labels_together(columns: Sequence[ColumnProfile]) -> bool:
    """Whether each of several columns is a yes or no, and so they are labels together."""
    return len(columns) >= 3 and all(map(is_multi_hot, columns))


def _split(profile: DatasetProfile) -> ColumnProfile | None:
    if profile.split_column is not None:
        return profile.column(profile.split_column)
    for column in profile.columns:
        words = set(column.values or ())
        if is_called(column.name, _SPLITS) and 2 <= len(words) <= len(SPLITS) and any(word.lower().startswith("train") for word in words):
            return column
    return None


def _is_group(column: ColumnProfile, rows: int) -> bool:
    there = present(column, rows)
    named = is_called(column.name, _GROUPS)
    return (
        named and column.type in {"text", "number", "category"} and column.longest <= MAX_LABEL_CHARS and 2 <= column.distinct <= there / 2
    )


def _is_target(column: ColumnProfile) -> bool:
    if column.type in {"category", "categories", "number", "tags"}:
        return True
    short = column.type == "text" and column.values is not None and column.longest <= MAX_LABEL_CHARS
    return short and is_called_target(column.name)
