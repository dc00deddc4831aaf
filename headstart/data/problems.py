"""What is wrong with a file, row by row, and the refusal that comes of it."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.errors import BadInput, Fault
from headstart.specs.datasets import RowProblem
from headstart.specs.problems import Failure

HINTS = {
    "bad_data": "Save the file again as plain UTF-8 text.",
    "bad_header": "The first line names the columns: each name once, none empty, at most 256 characters.",
    "bad_json": 'Each line is one JSON object, such as {"text": "great film", "label": "pos"}.',
    "bad_quote": 'Quote the whole field, and write a quote inside it twice: "a ""good"" film".',
    "decoded_too_large": "Split the file, take columns out, or write smaller row groups.",
    "field_too_long": "A quote that is opened and never closed makes the rest of the file one field.",
    "line_too_long": "Check that rows end with a line break.",
    "no_rows": "Upload a file with at least one row of data.",
    "not_a_number": "Mend these values, or leave the column's type out of the schema.",
    "not_utf8": "Save the file as UTF-8.",
    "parquet_corrupt": "Write the file anew, with the usual settings, and see that all of it is sent.",
    "ragged_row": "Quote fields that contain commas.",
    "too_deep": "Flatten the nested values.",
    "too_large": "Split the file, or take out columns that are not needed.",
    "too_many_columns": "Take out columns that are not needed.",
    "too_many_rows": "Split the file.",
    "unclosed_quote": "Close the quote, or write a quote inside a field twice.",
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
