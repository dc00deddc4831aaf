"""A preview shows rows as they were read, and never maps a table that was changed."""

from __future__ import annotations

import pytest

from headstart.blobs.local import file_sha256
from headstart.data.preview import preview
from headstart.errors import EngineFault


def test_rows_are_numbered_from_one_wherever_the_page_begins(reader):
    reader.read("text,label\n" + "".join(f"t{number},a\n" for number in range(10)))
    rows = preview(reader.target, file_sha256(reader.target), 4, 2)
    assert [(row.row, row.values) for row in rows] == [(5, {"text": "t4", "label": "a"}), (6, {"text": "t5", "label": "a"})]


def test_table_that_was_cut_is_refused_and_not_mapped(reader):
    reader.read("text,label\n" + "".join(f"t{number},a\n" for number in range(10)))
    digest = file_sha256(reader.target)
    reader.target.write_bytes(reader.target.read_bytes()[:-100])
    with pytest.raises(EngineFault) as fault:
        preview(reader.target, digest, 0, 2)
    assert fault.value.code == "bad_data"


def test_table_that_could_not_be_read_once_is_looked_at_again(reader):
    reader.read("text,label\nt,a\n")
    content, digest = reader.target.read_bytes(), file_sha256(reader.target)
    reader.target.unlink()
    with pytest.raises(FileNotFoundError):
        preview(reader.target, digest, 0, 2)
    reader.target.write_bytes(content[:-1])
    with pytest.raises(EngineFault):
        preview(reader.target, digest, 0, 2)
    reader.target.write_bytes(content)
    assert len(preview(reader.target, digest, 0, 2)) == 1
