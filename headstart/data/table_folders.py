"""Several tables in one archive, as Hugging Face lays them out: `data/train-00000-of-00001.parquet`, `train.csv` and `test.csv`, or what
`save_to_disk` writes (`dataset_dict.json`, `train/data-00000-of-00001.arrow`). Their rows are read one file after another.

The split of a file is the first word of its name that says one, else that of the nearest folder; it becomes the column `split`. Archives of
images and recordings are `zip_rows`.

Source: "Structure your repository" and "Save and export" in the documentation of the library datasets.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from headstart.data.archives import Archive
from headstart.data.batches import Batch, Cells
from headstart.data.compression import unpacked
from headstart.data.jsonl_rows import LateColumnsError
from headstart.data.limits import ReadLimits
from headstart.data.problems import Problems
from headstart.data.readers import TableFormat, table_batches
from headstart.errors import BadInput, quote
from headstart.specs.datasets import SPLITS, MediaType, format_of

METADATA = ("metadata.csv", "metadata.jsonl")
"""Tables beside images and recordings, which are no tables of a data set by themselves."""
SPLIT = "split"
MAX_STATE_BYTES = 2**20
"""Of a small file that says which others count."""

_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
_BESIDE = (".json", ".md", ".txt", ".yaml", ".yml", ".py", ".lock")
"""Endings of what lies beside tables and is none."""
_STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Part:
    """One table of an archive."""

    file: str
    format: TableFormat
    split: str | None


def tables_of(archive: Archive, limits: ReadLimits, problems: Problems) -> list[Part]:
    """The tables, the train split first; empty when the archive holds something else.

    Raises:
        InvalidDataset: some names say a split and others do not, or a table is kept in a way that is not read.
    """
    formats = {file: format_of(file.rpartition("/")[2]) for file in archive.members}
    others = [file for file, found in formats.items() if found in {None, "zip"}]
    tables = {file: found for file, found in formats.items() if found is not None and found != "zip"}
    if not tables or any(file.rpartition("/")[2].lower() in METADATA for file in tables):
        return []
    if not all(_is_beside(file) for file in others):
        return []
    wanted = _saved(archive, limits, problems)
    parts = [Part(file, found, split_of(file)) for file, found in tables.items() if wanted(file)]
    without = [part.file for part in parts if part.split is None]
    if without and len(without) < len(parts):
        message = f"The name of the file {quote(without[0])} says none of train, validation and test, and those of other files do."
        raise problems.refusal("archive_layout", message, hint="Leave it out, or put the split into its name: train.csv, test.csv.")
    return sorted(parts, key=lambda part: (SPLITS.index(part.split) if part.split else 0, _natural(part.file)))


def split_of(file: str) -> str | None:
    """The split that a path names."""
    *folders, name = file.lower().split("/")
    for part in [name, *reversed(folders)]:
        for word in re.split(r"[^a-z]+", part):
            if word in _WORDS:
                return _WORDS[word]
    return None


def folder_batches(
    archive: Archive,
    parts: Sequence[Part],
    limits: ReadLimits,
    problems: Problems,
    columns: Sequence[str],
    stated: Mapping[str, MediaType],
    scratch: Path | None,
) -> Generator[Batch, None, None]:
    """The rows of all tables. A column that a table lacks is missing in all its rows.

    Args:
        columns: those of all tables, once a first pass has found them out.
        stated: which columns hold files.
        scratch: where tables are unpacked.

    Raises:
        InvalidDataset: a table cannot be read, or has no column of those before it.
        LateColumnsError: a table has a column that was not known when rows were given out; at the end.
    """
    names, media = _Names(list(columns)), dict(stated)
    rows = 0
    for part in parts:
        with _opened(archive, part, rows, limits, problems, scratch) as file:
            batches = table_batches(part.format, file, limits, problems, names.all, media)
            before = rows
            with closing(batches):
                for batch, last in _advanced(batches, part, before, names, problems):
                    rows = max(rows, last)
                    if rows > limits.max_rows:
                        raise problems.refusal("too_many_rows", f"The files have more than {limits.max_rows:,} rows.")
                    if batch is None:
                        continue
                    names.take(batch, part, problems)
                    media = media if names.given_out else {**media, **batch.media}
                    _check_media(batch, media, part, problems)
                    if names.late and part.format != "jsonl":
                        break  # all its names are known; its rows are for the next pass
                    if not names.late and not problems.refusing:
                        names.given_out = True
                        yield _placed(batch, names.all, part, before, media)
    if names.late and not problems.refusing:
        raise LateColumnsError(names.all)


@dataclass(slots=True)
class _Names:
    """The columns that are known so far."""

    all: list[str]
    given_out: bool = False
    late: bool = False
    """Whether some came to be known after rows had been given out."""

    def take(self, batch: Batch, part: Part, problems: Problems) -> None:
        if part.split is not None and SPLIT in batch.names:
            message = f"The file {quote(part.file)} has a column 'split', and so is to be called what its name says."
            raise problems.refusal("bad_header", message, hint="Give the column another name.")
        if self.all and not set(batch.names) & set(self.all):
            message = f"The file {quote(part.file)} has no column that the files before it have."
            raise problems.refusal("archive_layout", message, hint="Send what belongs to one data set, and each configuration by itself.")
        self.add(batch.names)

    def add(self, names: Sequence[str]) -> None:
        new = [name for name in names if name not in self.all]
        self.all += new
        self.late = self.late or (self.given_out and bool(new))


def _advanced(batches: Iterator[Batch], part: Part, before: int, names: _Names, problems: Problems) -> Iterator[tuple[Batch | None, int]]:
    """Each batch of a table, None at its end, with the number of the last row that was seen in it, counted over all tables."""
    while True:
        batch = None
        with problems.inside(part.file, before):
            try:
                batch = next(batches, None)
            except LateColumnsError as late:
                names.add(late.columns)
                names.late = True
        last = max(problems.highest, before + batch.rows[-1] if batch is not None and batch.rows else 0)
        yield batch, last
        if batch is None:
            return


def _placed(batch: Batch, names: Sequence[str], part: Part, before: int, media: Mapping[str, MediaType]) -> Batch:
    """A batch among the rows of all tables."""
    there = dict(zip(batch.names, batch.columns, strict=True))
    nothing: Cells = [None] * len(batch.rows)
    columns = [there.get(name, nothing) for name in names]
    if part.split is not None:
        columns.append([part.split] * len(batch.rows))
    kinds = {name: kind for name, kind in media.items() if name in names}
    return Batch([*names, *([SPLIT] if part.split else [])], columns, [row + before for row in batch.rows], kinds)


def _check_media(batch: Batch, media: Mapping[str, MediaType], part: Part, problems: Problems) -> None:
    for name in batch.names:
        if media.get(name) != batch.media.get(name) and not (name in media and part.format in {"csv", "tsv", "jsonl"}):
            message = f"The column {quote(name)} of the file {quote(part.file)} is not of the kind that it is in the files before it."
            raise problems.refusal("archive_layout", message, column=name, hint="A column holds files in every table, or in none.")


@contextmanager
def _opened(archive: Archive, part: Part, before: int, limits: ReadLimits, problems: Problems, scratch: Path | None) -> Iterator[BinaryIO]:
    """A table of the archive, unpacked, in a file that is gone afterwards."""
    folder = scratch or Path(tempfile.gettempdir())
    with ExitStack() as stack:
        copy = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        with problems.inside(part.file, before):
            try:
                archive.copy(part.file, copy)
            except BadInput as error:
                raise problems.refusal(error.code, error.message) from None
            file = stack.enter_context(unpacked(copy, folder, limits, problems))
        file.seek(0)
        yield file


def _saved(archive: Archive, limits: ReadLimits, problems: Problems) -> Callable[[str], bool]:
    """Which tables count: in a folder that `save_to_disk` wrote, those that its `state.json` names."""
    named: dict[str, frozenset[str]] = {}
    for file in archive.members:
        folder, _, name = file.rpartition("/")
        if name == _STATE:
            named[folder] = _named(archive, file, limits, problems)
    return lambda file: (split := file.rpartition("/"))[0] not in named or split[2] in named[split[0]]


def _named(archive: Archive, file: str, limits: ReadLimits, problems: Problems) -> frozenset[str]:
    try:
        match json.loads(archive.read(file, min(MAX_STATE_BYTES, limits.max_listed_bytes))):
            case {"_data_files": [*files]} as state if not state.get("_indices_data_files"):
                return frozenset(str(each["filename"]) for each in files if isinstance(each, dict) and "filename" in each)
    except (BadInput, ValueError, RecursionError):
        pass
    message = f"The file {quote(file)} does not name the files of a data set, or it names rows that were chosen from them."
    raise problems.refusal("archive_layout", message, hint="Write it anew: `dataset.flatten_indices().save_to_disk(folder)`.")


def _is_beside(file: str) -> bool:
    name = file.rpartition("/")[2].lower()
    return name.endswith(_BESIDE) or "." not in name


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts part-2 before part-10."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"([0-9]+)", name)]
