"""A blob folder belongs to one database."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.blobs.local import LocalBlobs
from headstart.errors import Conflict, Unavailable
from headstart.store import belonging


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def test_a_folder_that_was_claimed_is_known_again_and_claimed_again(blobs: LocalBlobs):
    belonging.claim(blobs, "ws_1")
    belonging.check(blobs, "ws_1")
    belonging.claim(blobs, "ws_1")


def test_a_folder_of_another_database_is_refused(blobs: LocalBlobs):
    belonging.claim(blobs, "ws_1")
    for judge in (belonging.claim, belonging.check):
        with pytest.raises(Conflict, match="belongs to another database"):
            judge(blobs, "ws_2")


def test_a_folder_that_no_api_has_used_is_waited_for(blobs: LocalBlobs):
    with pytest.raises(Unavailable, match="HEADSTART_BLOBS"):
        belonging.check(blobs, "ws_1")
    assert not blobs.root.exists()


def test_a_folder_that_cannot_be_written_is_said_in_words(blobs: LocalBlobs, tmp_path: Path):
    blobs.root.symlink_to("/dev/null")
    with pytest.raises(Unavailable, match="cannot be used"):
        belonging.claim(blobs, "ws_1")
