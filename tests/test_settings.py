"""Settings: one folder of one's own, what may lie elsewhere, and combinations that are refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.errors import BadInput
from headstart.settings import load_settings, server_environment


def test_blobs_are_in_the_home_unless_they_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings({}, home=tmp_path / "a").blob_folder == tmp_path / "a" / "blobs"
    assert load_settings({}, home=tmp_path / "a", blobs="~/shared").blob_folder == tmp_path / "shared"


def test_a_process_that_is_started_gets_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = load_settings({}, home=tmp_path, blobs=tmp_path / "shared", worker="elsewhere", backbone_roots=[tmp_path])
    for name, value in server_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"beat_seconds": 5, "lease_seconds": 10}, "three times"),
        ({"lease_seconds": 60, "stall_seconds": 30}, "stall_seconds"),
        ({"broker_url": "filesystem://"}, "torn file"),
        ({"database_url": "sqlite://"}, "in-memory"),
        ({"database_url": "sqlite:///"}, "in-memory"),
        ({"database_url": "sqlite:///:memory:"}, "in-memory"),
        ({"database_url": "sqlite:///file:x?mode=memory&uri=true"}, "in-memory"),
        ({"worker": "nowhere"}, "HEADSTART_WORKER"),
    ],
)
def test_what_cannot_go_well_is_refused_in_words(wrong: dict[str, object], words: str):
    with pytest.raises(BadInput, match=words):
        load_settings({}, **wrong)


def test_an_unknown_setting_names_the_closest():
    with pytest.raises(BadInput, match="HEADSTART_BLOBS"):
        load_settings({"HEADSTART_BLOB": "x"})
