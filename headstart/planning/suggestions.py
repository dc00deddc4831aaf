"""What a dataset could be used for, by its profile alone: (profile) → types, tasks, split and group, and what deserves a look."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headstart.planning.doubts import doubts
from headstart.planning.roles import (
    Roles,
    are_labels_together,
    is_all_different,
    is_called_target,
    is_id,
    is_multi_hot,
    is_of_integers,
    present,
    roles_of,
)
from headstart.planning.splits import MIN_CLASS_ROWS
from headstart.specs.datasets import SPLITS, ColumnProfile, ColumnType, DatasetProfile
from headstart.specs.suggestions import Problem, SuggestedColumn, SuggestedTask, SuggestedType, Suggestions, TaskSuggestion

MAX_TASKS = 20
MANY_CLASSES = 200
"""More labels than this are seldom classes."""


def suggest(profile: DatasetProfile) -> Suggestions:
    """Suggestions for a dataset that was read; a job may do otherwise."""
    roles = roles_of(profile)
    tasks = sorted(_tasks(roles, profile), key=lambda each: -each.confidence)[:MAX_TASKS]
    return Suggestions(
        object="suggestions",
        types=[_type(column, profile) for column in profile.columns],
        tasks=_named_apart(tasks),
        split_column=_split(roles),
        group_column=_group(roles, profile),
        warnings=list(doubts(profile, roles)),
    )


def _type(column: ColumnProfile, profile: DatasetProfile) -> SuggestedType:
    kind, reason, confidence = _judged(column, profile)
    return SuggestedType(column=column.name, type=kind, reason=reason, confidence=confidence)


def _judged(column: ColumnProfile, profile: DatasetProfile) -> tuple[ColumnType, str, float]:
    there, rows = present(column, profile.rows), profile.rows
    counted = f"{there:,} values, {column.distinct:,} of them different"
    if not there:
        return column.type, "It is empty in every row.", 0.1
    if column.type in {"image", "audio"}:
        return column.type, f"All {there:,} files are {'images' if column.type == 'image' else 'recordings'}.", 0.99
    if column.type in {"tokens", "tags"}:
        return column.type, f"{there:,} JSON lists, as long row by row as those of another column.", 0.9
    if column.type == "categories":
        return column.type, f"{there:,} lists of {column.distinct:,} different labels.", 0.9
    if column.type == "number" and is_called_target(column.name) and is_of_integers(column) and column.distinct <= MIN_CLASS_ROWS + 2:
        return "category", f"{counted}, all of them integers: more likely names of classes than quantities.", 0.6
    if column.type == "text" and is_called_target(column.name) and _may_be_labels(column, there):
        return "category", f"{counted}, short, and the name is one of labels.", 0.6
    if is_id(column, rows):
        return column.type, f"{counted}: it names the rows, and nothing can be learnt from it.", 0.8
    words = {"number": f"{counted}, all numbers.", "category": f"{counted}: they repeat as labels do."}
    return column.type, words.get(column.type, f"{counted}, of {column.mean_length:.0f} characters in the mean."), 0.9


def _may_be_labels(column: ColumnProfile, there: int) -> bool:
    return column.values is not None and 2 <= column.distinct < there


def _split(roles: Roles) -> SuggestedColumn | None:
    column = roles.split
    if column is None or column.values is None or not column.values.keys() <= set(SPLITS):
        return None
    counted = ", ".join(f"{column.values.get(split, 0):,} {split}" for split in SPLITS)
    whole = not column.missing and all(column.values.get(split) for split in ("train", "test"))
    return SuggestedColumn(column=column.name, reason=f"It holds nothing else: {counted}.", confidence=0.95 if whole else 0.5)


def _group(roles: Roles, profile: DatasetProfile) -> SuggestedColumn | None:
    column = roles.group
    if column is None:
        return None
    each = present(column, profile.rows) / column.distinct
    reason = f"By its name rows belong together, {each:.1f} to each of {column.distinct:,} values: put them into one split."
    return SuggestedColumn(column=column.name, reason=reason, confidence=0.7)


def _tasks(roles: Roles, profile: DatasetProfile) -> Iterator[TaskSuggestion]:
    hot = [column for column in roles.targets if is_multi_hot(column)]
    together = are_labels_together(hot)
    inputs = [(column.type, column, 0.0) for column in roles.media]
    inputs += [("text", column, 0.15 * place) for place, column in enumerate(roles.texts[:2])]
    for kind, column, doubt in inputs:
        for target in roles.targets:
            if target.type == "tags":
                continue
            problem, reason, sure = _learnt(target, profile)
            less = doubt + (0.3 if together and target in hot else 0.0)
            yield _suggestion(f"{kind}-classification", problem, {kind: column.name}, target.name, reason, sure - less)
        if together:
            names = [each.name for each in hot]
            reason = f"{len(names)} columns hold 0 and 1, as one for each label."
            yield _suggestion(f"{kind}-classification", "multi-label", {kind: column.name}, names, reason, 0.8 - doubt)
    yield from _tagging(roles)


def _tagging(roles: Roles) -> Iterator[TaskSuggestion]:
    for target in (column for column in roles.targets if column.type == "tags"):
        reason = f"{target.distinct:,} different tags"
        if roles.tokens:
            yield _suggestion(
                "token-classification", None, {"tokens": roles.tokens[0].name}, target.name, f"{reason}, one for each token.", 0.9
            )
        elif roles.texts:
            yield _suggestion(
                "token-classification", None, {"text": roles.texts[0].name}, target.name, f"{reason} on spans of a text.", 0.8
            )


def _learnt(target: ColumnProfile, profile: DatasetProfile) -> tuple[Problem, str, float]:
    """What could be learnt of a column, why, and how sure that is."""
    sure = 0.85 if is_called_target(target.name) else 0.55
    there = present(target, profile.rows)
    if target.type == "number":
        alone = 0.2 if is_all_different(target, profile.rows) and is_of_integers(target) else 0.0
        return "regression", f"{there:,} numbers, {target.distinct:,} of them different.", sure - 0.05 - alone
    problem: Problem = "multi-label" if target.type == "categories" else "single-label"
    sure -= 0.2 * (target.type == "text") + 0.2 * (target.distinct > MANY_CLASSES) + 0.2 * (target.values is None)
    rare = sum(count < MIN_CLASS_ROWS for count in (target.values or {}).values())
    what = f"{target.distinct:,} labels in {there:,} rows" + (f", {rare:,} of them in fewer than {MIN_CLASS_ROWS}." if rare else ".")
    if target.distinct < 2:
        return problem, what, 0.05
    return problem, what, sure - (0.2 if rare else 0.0)


def _suggestion(
    kind: str, problem: Problem | None, inputs: dict[str, str], target: str | list[str], reason: str, confidence: float
) -> TaskSuggestion:
    name = _name("labels" if isinstance(target, list) else target)
    task = SuggestedTask(name=name, type=kind, problem=problem, inputs=inputs, target=target)
    return TaskSuggestion(task=task, reason=reason, confidence=round(min(max(confidence, 0.05), 0.99), 2))


def _name(column: str) -> str:
    """A name of a task, made from a column's."""
    return re.sub(r"[^a-z0-9._-]+", "-", column.lower()).strip("-._")[:55] or "label"


def _named_apart(tasks: list[TaskSuggestion]) -> list[TaskSuggestion]:
    """The same with a number behind a name that another has, so that several can be pasted into one job."""
    seen: dict[str, int] = {}
    made = []
    for each in tasks:
        name = each.task.name
        seen[name] = seen.get(name, 0) + 1
        renamed = name if seen[name] == 1 else f"{name}-{seen[name]}"
        made.append(each.model_copy(update={"task": each.task.model_copy(update={"name": renamed})}))
    return made
