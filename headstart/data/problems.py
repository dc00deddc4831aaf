"""What is wrong with a file, row by row, and the refusal that comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from headstart.errors import BadInput, Fault, quote
from headstart.specs.datasets import RowProblem
from headstart.specs.problems import Failure

HINTS = {
    "archive_bomb": "Leave out what is not an image or a recording, or split the archive.",
    "arrow_corrupt": "Write the file anew, and see that all of it is sent.",
    "archive_corrupt": "Zip the files anew, with deflate or uncompressed and without a password, and see that all of it is sent.",
    "archive_layout": "Folders are class/file or train|validation|test/class/file; or add a metadata.csv with a column file_name.",
    "archive_member": "Zip plain files and folders, with names in UTF-8, each name once.",
    "audio_too_long": "Cut the recording into shorter ones.",
    "animated_image": "Save the one picture that counts as PNG or JPEG, or take the row out.",
    "bad_audio": "Save the recording again as WAV, FLAC, Ogg or MP3, or take the row out.",
    "bad_base64": "Each cell is the file's bytes in base64, alone or behind data:image/png;base64,",
    "compression_corrupt": "Compress the file anew with gzip or zstd, and see that all of it is sent.",
    "bad_data": "Save the file again as plain UTF-8 text.",
    "bad_header": "The first line names the columns: each name once, none empty, at most 256 characters.",
    "bad_image": "Save the image again as PNG or JPEG, or take the row out.",
    "bad_json": 'Each line is one JSON object, such as {"text": "great film", "label": "pos"}.',
    "bad_quote": 'Quote the whole field, and write a quote inside it twice: "a ""good"" film".',
    "decoded_too_large": "Split the file, take columns out, or write smaller row groups.",
    "field_too_long": "A quote that is opened and never closed makes the rest of the file one field.",
    "duplicate_key": "Give each key once: the last value that counts.",
    "empty_audio": "Record it again, or take the row out.",
    "file_not_found": "Each row's file_name is the path of a file in the archive, seen from the table.",
    "file_too_large": "Save the file smaller, or take the row out.",
    "image_too_large": "Save a smaller copy of the image, or take the row out.",
    "lengths_differ": "Each row has one tag for each of its tokens.",
    "line_too_long": "Check that rows end with a line break.",
    "missing_key": "Fill the key in, or append the rows that have none.",
    "no_rows": "Upload a file with at least one row of data.",
    "not_a_list": 'Write lists as JSON: ["Bo", "lives", "here"]; spans as [{"start": 0, "end": 2, "label": "PER"}].',
    "not_a_number": "Mend these values, or leave the column's type out of the schema.",
    "not_utf8": "Save the file as UTF-8.",
    "one_class": "Put the files into a folder for each class; or add a metadata.csv with a column file_name.",
    "parquet_corrupt": "Write the file anew, with the usual settings, and see that all of it is sent.",
    "ragged_row": "Quote fields that contain commas.",
    "silent_audio": "Record it again, or take the row out.",
    "span_outside": "Spans count characters from 0, and end before the character at `end`.",
    "too_deep": "Flatten the nested values.",
    "too_large": "Split the file, or take out columns that are not needed.",
    "too_many_columns": "Take out columns that are not needed.",
    "too_many_rows": "Split the file.",
    "unclosed_quote": "Close the quote, or write a quote inside a field twice.",
    "unknown_format": "Images are PNG, JPEG, WebP or TIFF, recordings WAV, FLAC, Ogg or MP3.",
    "unsupported_type": "Take the column out, or write it as text, numbers, dates, or lists, structs and maps of these.",
}
"""What would work, by the code of the first problem."""


class InvalidDataset(BadInput):
    """The file cannot become a dataset. `failure` says why in one sentence, `problems` where, `problem_count` how often."""

    def __init__(self, failure: Failure, problems: Sequence[RowProblem], problem_count: int) -> None:
        faults = tuple(Fault(None, problem.message, problem.row) for problem in problems)
        super().__init__(failure.code, failure.message, failure.hint, faults)
        self.failure = failure
        self.problems = list(problems)
        self.problem_count = problem_count


class Problems:
    """What was found so far: all counted, the first `keep` kept.

    Args:
        lenient: a bad row does not refuse the file; it is left out and counted in `dropped`.
    """

    def __init__(self, keep: int, *, lenient: bool = False) -> None:
        self.count = 0
        self.dropped = 0
        self.lenient = lenient
        self._keep = keep
        self._kept: list[RowProblem] = []
        self._first: RowProblem | None = None
        self._bad: set[int] = set()
        self._place, self._before, self._highest = "", 0, 0

    @property
    def refusing(self) -> bool:
        """Whether something was found for which the file is refused."""
        return self._first is not None

    @property
    def kept(self) -> list[RowProblem]:
        return list(self._kept)

    def add(self, code: str, message: str, row: int | None = None, column: str | None = None) -> None:
        """Note a problem after which the next row can be looked at; a bad `row` is given out with the others, and dropped by `good`."""
        problem = self._noted(code, message, row, column)
        if self.lenient and problem.row is not None:
            self._bad.add(problem.row)
        else:
            self._first = self._first or problem

    def skip(self, code: str, message: str, row: int) -> None:
        """Note a row that is not given out at all."""
        problem = self._noted(code, message, row, None)
        if self.lenient:
            self.dropped += 1
        else:
            self._first = self._first or problem

    def warn(self, code: str, message: str, row: int | None = None, column: str | None = None) -> None:
        """Note what deserves a look and refuses nothing."""
        self._noted(code, message, row, column)

    def more(self, count: int) -> None:
        """Count so many of the same that are not told one by one."""
        self.count += count

    def good(self, rows: Sequence[int]) -> list[int] | None:
        """Which of these rows, by their place, are to be kept; None: all. The others are dropped with this."""
        if not self._bad:
            return None
        kept = [place for place, row in enumerate(rows) if row not in self._bad]
        self.dropped += len(rows) - len(kept)
        self._bad.clear()
        return kept

    def is_bad(self, row: int) -> bool:
        """Whether this row, of those that `good` has yet to see, is one that it will drop."""
        return row in self._bad

    @contextmanager
    def inside(self, file: str, rows_before: int) -> Iterator[None]:
        """What is found meanwhile is in one file of several, whose own row 1 comes after so many others."""
        self._place, self._before, self._highest = f"The file {quote(file)}: ", rows_before, rows_before
        try:
            yield
        finally:
            self._place, self._before = "", 0

    @contextmanager
    def of_the_version_before(self) -> Iterator[None]:
        """What is found meanwhile is in old rows, which keep their numbers: none is dropped, so each problem refuses the file."""
        kept = self.lenient, self._place, self._before, self._highest
        self.lenient, self._place, self._before = False, "The version before: ", 0
        try:
            yield
        finally:
            self.lenient, self._place, self._before, self._highest = kept

    @property
    def highest(self) -> int:
        """The last row with a problem since `inside`, and no less than the rows before it."""
        return self._highest

    def refusal(
        self, code: str, message: str, row: int | None = None, *, column: str | None = None, hint: str | None = None
    ) -> InvalidDataset:
        """The error to raise for a problem after which reading makes no sense."""
        problem = self._noted(code, message, row, column)
        self._first = self._first or problem
        failure = Failure(code=code, message=problem.message + _others(self.count - 1), hint=hint or HINTS.get(code))
        return InvalidDataset(failure, self._with_last(problem), self.count)

    def check(self) -> None:
        """Raise InvalidDataset when something was found for which the file is refused."""
        if self._first is not None:
            first = self._first
            message = first.message + _others(self.count - 1)
            raise InvalidDataset(Failure(code=first.code, message=message, hint=HINTS.get(first.code)), self._kept, self.count)

    def _noted(self, code: str, message: str, row: int | None, column: str | None) -> RowProblem:
        self.count += 1
        row = None if row is None else row + self._before
        self._highest = max(self._highest, row or 0)
        problem = RowProblem(row=row, column=column, code=code, message=self._place + message)
        if len(self._kept) < self._keep:
            self._kept.append(problem)
        return problem

    def _with_last(self, last: RowProblem) -> list[RowProblem]:
        return self._kept if last in self._kept[-1:] else [*self._kept[: max(self._keep - 1, 0)], last]


def _others(count: int) -> str:
    if count == 0:
        return ""
    return " There is 1 other problem." if count == 1 else f" There are {count:,} other problems."
