"""Tags of words: which there are, what they mean, and what reading the dataset found amiss in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from headstart.errors import invalid_field, quote
from headstart.specs.datasets import ColumnProfile, DatasetProfile
from headstart.specs.labels import MAX_LABEL_CHARS
from headstart.specs.plans import PlanWarning
from headstart.specs.tasks import Scheme, TokenClassification

OUTSIDE = "O"
"""The tag of a word that is part of no entity."""

PREFIXES: Mapping[Scheme, str] = {"BIO": "BI", "IOBES": "BIES"}
"""What a span's words are tagged with."""

_OF_SCHEME: Mapping[Scheme, re.Pattern[str]] = {"BIO": re.compile(r"[BI]-.+", re.DOTALL), "IOBES": re.compile(r"[BIMELSU]-.+", re.DOTALL)}
"""Tags of entities; L and U are what BILOU has for E and S, and M is what BMES has for I."""

AMISS: Mapping[str, tuple[str, str]] = {
    "broken_scheme": ("tags that break their scheme", "What follows no beginning is read as one."),
    "lengths_differ": ("not as many tags as words", "They are left out."),
    "not_a_list": ("no list where one is needed", "They are left out."),
    "span_cuts_word": ("a span that begins or ends within a word", "The word is taken whole."),
    "span_outside": ("a span that lies outside of its text", "They are left out."),
    "span_without_words": ("a span that holds no word", "The span is left out."),
    "spans_overlap": ("spans that overlap", "The one that begins first stands, of several the longest."),
}
"""What can be amiss with the tags of a row, by code → what it has, and what becomes of that."""


def amiss_message(code: str, count: str) -> str:
    """In sentences; `count`: of the rows."""
    what, then = AMISS[code]
    return f"Rows with {what}: {count}. {then}"


def tag_classes(task: TokenClassification, number: int, target: ColumnProfile) -> tuple[list[str], Scheme]:
    """The tags in the order of scores, O first, and what they mean.

    Raises:
        BadInput: `invalid_field`: the column's tags are too many or too long, or not of the scheme that is asked for.
    """
    pointer = f"/tasks/{number}/target"
    if target.values is None:
        message = f"The column {quote(target.name)} has too many different tags, or one of more than {MAX_LABEL_CHARS} characters."
        raise invalid_field(pointer, message, "Tags are few and short, such as B-PER or NOUN.")
    if task.inputs.text is not None:
        return _of_spans(task, number, target.values)
    tags = set(target.values)
    scheme = task.scheme or _found(tags)
    odd = next((tag for tag in sorted(tags - {OUTSIDE}) if scheme != "none" and not _OF_SCHEME[scheme].fullmatch(tag)), None)
    if odd is not None:
        message = f"The column {quote(target.name)} has the tag {quote(odd)}, which is none of {scheme}."
        hint = f"In {scheme} a tag is O, or a label behind {', '.join(f'{prefix}-' for prefix in PREFIXES[scheme])}. Or leave scheme out."
        raise invalid_field(f"/tasks/{number}/scheme", message, hint)
    return _ordered(tags), scheme


def _of_spans(task: TokenClassification, number: int, labels: Iterable[str]) -> tuple[list[str], Scheme]:
    scheme = task.scheme or "BIO"
    if scheme == "none":
        message = "Spans are entities, and the scheme none tags each word by itself."
        raise invalid_field(f"/tasks/{number}/scheme", message, 'Leave scheme out, or choose "BIO" or "IOBES".')
    tags = {f"{prefix}-{label}" for label in labels for prefix in PREFIXES[scheme]}
    return (_ordered({OUTSIDE, *tags}) if tags else []), scheme


def _found(tags: Collection[str]) -> Scheme:
    """The scheme whose tags these are."""
    named = [tag for tag in tags if tag != OUTSIDE]
    if not named or not all(_OF_SCHEME["IOBES"].fullmatch(tag) for tag in named):
        return "none"
    return "BIO" if all(_OF_SCHEME["BIO"].fullmatch(tag) for tag in named) else "IOBES"


def _ordered(tags: Collection[str]) -> list[str]:
    return sorted(tags, key=lambda tag: (tag != OUTSIDE, tag))


def tag_warnings(columns: Iterable[ColumnProfile], number: int, profile: DatasetProfile) -> Iterable[PlanWarning]:
    """What reading the dataset told of the columns of the `number`-th task; it keeps the first problems alone."""
    names = {column.name for column in columns}
    found = [each for each in profile.problems if each.column in names and each.code in AMISS and each.row is not None]
    kept_all = len(profile.problems) >= profile.problem_count
    for code, rows in sorted(Counter(each.code for each in found).items()):
        first = min(each.row for each in found if each.code == code and each.row is not None)
        count = f"{rows:,}{'' if kept_all else ' or more'}, the first of them row {first:,}"
        yield PlanWarning(code=code, pointer=f"/tasks/{number}/target", message=amiss_message(code, count))
