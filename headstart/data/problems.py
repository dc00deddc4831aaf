"""What is wrong with a file, row by row, and the refusal that comes of it."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.errors import BadInput, Fault
from headstart.specs.datasets import RowProblem
from headstart.specs.problems import Failure

HINTS = {
    "archive_bomb": "Leave out what is not an image or a recording, or split the archive.",
    "archive_corrupt": "Zip the files anew, with deflate or uncompressed and without a password, and see that all of it is sent.",
    "archive_layout": "Folders are class/file or train|validation|test/class/file; or add a metadata.csv with a column file_name.",
    "archive_member": "Zip plain files and folders, with names in UTF-8, each name once.",
    "audio_too_long": "Cut the recording into shorter ones.",
    "animated_image": "Save the one picture that counts as PNG or JPEG, or take the row out.",
    "bad_audio": "Save the recording again as WAV, FLAC, Ogg or MP3, or take the row out.",
    "bad_base64": "Each cell is the file's bytes in base64, alone or behind data:image/png;base64,",
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
    "line_too_long": "Check that rows end with a line break.",
    "missing_key": "Fill the key in, or append the rows that have none.",
    "no_rows": "Upload a file with at least one row of data.",
    "not_a_number": "Mend these values, or leave the column's type out of the schema.",
    "not_utf8": "Save the file as UTF-8.",
    "one_class": "Put the files into a folder for each class; or add a metadata.csv with a column file_name.",
    "parquet_corrupt": "Write the file anew, with the usual settings, and see that all of it is sent.",
    "ragged_row": "Quote fields that contain commas.",
    "silent_audio": "Record it again, or take the row out.",
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
    """The problems found so far: all counted, the first `keep` kept."""

    def __init__(self, keep: int) -> None:
        self.count = 0
        self._keep = keep
        self._kept: list[RowProblem] = []
        self._first: RowProblem | None = None

    def add(self, code: str, message: str, row: int | None = None, column: str | None = None) -> None:
        """Note a problem that does not keep us from looking at the next row."""
        self.count += 1
        if self._first is not None and len(self._kept) >= self._keep:
            return
        problem = RowProblem(row=row, column=column, code=code, message=message)
        self._first = self._first or problem
        if len(self._kept) < self._keep:
            self._kept.append(problem)

    def refusal(
        self, code: str, message: str, row: int | None = None, *, column: str | None = None, hint: str | None = None
    ) -> InvalidDataset:
        """The error to raise for a problem after which reading makes no sense."""
        self.add(code, message, row, column)
        failure = Failure(code=code, message=message + _others(self.count - 1), hint=hint or HINTS.get(code))
        return InvalidDataset(failure, self._with_last(RowProblem(row=row, column=column, code=code, message=message)), self.count)

    def check(self) -> None:
        """Raise InvalidDataset when anything was found."""
        if self._first is not None:
            first = self._first
            message = first.message + _others(self.count - 1)
            raise InvalidDataset(Failure(code=first.code, message=message, hint=HINTS.get(first.code)), self._kept, self.count)

    def _with_last(self, last: RowProblem) -> list[RowProblem]:
        return self._kept if last in self._kept[-1:] else [*self._kept[: max(self._keep - 1, 0)], last]


def _others(count: int) -> str:
    if count == 0:
        return ""
    return " There is 1 other problem." if count == 1 else f" There are {count:,} other problems."
