"""Rows for a spreadsheet: CSV in which no cell is taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from fastapi import Response

CSV = "text/csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How cells begin that a spreadsheet computes, or takes to go on in another cell (OWASP, "CSV injection")."""


def csv_response(header: Sequence[str], rows: Iterable[Sequence[object]], filename: str) -> Response:
    """A download; None is an empty cell, and an apostrophe stands before what would be a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return Response(text.getvalue().encode(), 200, headers, f"{CSV}; charset=utf-8; header=present")


def _plain(cell: object) -> str:
    if cell is None:
        return ""
    told = str(cell)
    return f"'{told}" if isinstance(cell, str) and told.startswith(_FORMULA) else told
