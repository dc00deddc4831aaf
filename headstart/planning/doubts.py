"""What deserves a look before anything is learnt from a dataset: seen in its profile, said in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headstart.errors import quote
from headstart.planning.classes import lookalikes
from headstart.planning.roles import MIN_ROWS, Roles, is_all_different, is_called_target, present
from headstart.specs.datasets import SPLITS, ColumnProfile, DatasetProfile
from headstart.specs.suggestions import SuggestionWarning

NEAR_CONSTANT = 0.99
"""The share of one value from which a column says next to nothing."""
MAX_PAIRS = 5
MAX_NAMED = 5


def doubts(profile: DatasetProfile, roles: Roles) -> Iterator[SuggestionWarning]:
    """Warnings in the order of the columns."""
    for column in profile.columns:
        if column is roles.split:
            yield from _odd_splits(column)
            continue
        yield from _all_different(column, profile, roles)
        yield from _near_constant(column, profile)
        if column in roles.targets:
            yield from _similar(column)
            yield from _only_in_test(column)
        yield from _in_two_splits(column)


def _all_different(column: ColumnProfile, profile: DatasetProfile, roles: Roles) -> Iterator[SuggestionWarning]:
    if not is_all_different(column, profile.rows):
        return
    if column in roles.targets or column in roles.ids or (column.type == "text" and is_called_target(column.name)):
        what = "a quantity, which regression can learn, or an id" if column.type == "number" else "an id, or no label"
        message = f"The column {quote(column.name)} has as many different values as rows: it is {what}."
        yield SuggestionWarning(code="as_many_values_as_rows", column=column.name, message=message)


def _near_constant(column: ColumnProfile, profile: DatasetProfile) -> Iterator[SuggestionWarning]:
    there = present(column, profile.rows)
    if not column.values or there < MIN_ROWS or column.type in {"tags", "categories"}:
        return
    value, count = max(column.values.items(), key=lambda item: item[1])
    if count >= NEAR_CONSTANT * there:
        message = f"The column {quote(column.name)} holds {quote(value)} in {count:,} of {there:,} rows."
        yield SuggestionWarning(code="near_constant", column=column.name, message=message)


def _similar(column: ColumnProfile) -> Iterator[SuggestionWarning]:
    pairs = lookalikes(column.values or {})
    if pairs:
        shown = "; ".join(f"{quote(one)} and {quote(other)}" for one, other in pairs[:MAX_PAIRS])
        more = f"; and {len(pairs) - MAX_PAIRS:,} more pairs" if len(pairs) > MAX_PAIRS else ""
        message = f"Labels of the column {quote(column.name)} differ only in case, width or what cannot be seen: {shown}{more}."
        yield SuggestionWarning(code="similar_labels", column=column.name, message=message)


def _only_in_test(column: ColumnProfile) -> Iterator[SuggestionWarning]:
    counts: Mapping[str, Mapping[str, int]] = column.split_values or {}
    if column.type == "number" or not counts.get("train"):
        return
    only = sorted(label for label in counts.get("test", {}) if label not in counts["train"])
    if only:
        named = ", ".join(quote(label) for label in only[:MAX_NAMED]) + (
            f" and {len(only) - MAX_NAMED:,} more" if len(only) > MAX_NAMED else ""
        )
        message = f"Labels of the column {quote(column.name)} are in test and not in train: {named}. No model can learn them."
        yield SuggestionWarning(code="class_only_in_test", column=column.name, message=message)


def _in_two_splits(column: ColumnProfile) -> Iterator[SuggestionWarning]:
    across = (column.duplicates.across_splits if column.duplicates else None) or {}
    found = {pair: rows for pair, rows in across.items() if rows}
    if found:
        said = ", ".join(f"{rows:,} rows of {pair.partition('-')[0]} in {pair.partition('-')[2]}" for pair, rows in found.items())
        message = (
            f"The same content of the column {quote(column.name)} lies in two splits: {said}. Scores on them tell less than they seem to."
        )
        yield SuggestionWarning(code="duplicates_across_splits", column=column.name, message=message)


def _odd_splits(column: ColumnProfile) -> Iterator[SuggestionWarning]:
    odd = sorted(set(column.values or ()) - set(SPLITS))
    if odd:
        message = f"The column {quote(column.name)} holds {', '.join(map(quote, odd))}; a split column holds train, validation and test."
        yield SuggestionWarning(code="odd_splits", column=column.name, message=message)
