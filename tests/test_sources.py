"""A `path:` names a folder below a root, and nothing tells whether another folder is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.sources import find_folder


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    for name in ("one/mini", "two/mini", "two/other", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "one" / "file").touch()
    (tmp_path / "one" / "way-out").symlink_to(tmp_path / "outside")
    return [tmp_path / "one", tmp_path / "two"]


def test_the_first_root_that_has_it_wins(roots: list[Path]):
    assert find_folder(roots, "mini") == (roots[0] / "mini", roots[0])
    assert find_folder(roots, "other") == (roots[1] / "other", roots[1])


@pytest.mark.parametrize("inner", ["absent", "file", ".", "..", "../outside", "way-out", "/etc", "mini/../../outside", ""])
def test_what_is_outside_is_as_if_it_were_absent(roots: list[Path], inner: str):
    assert find_folder(roots, inner) is None


def test_a_root_may_begin_with_the_users_home(tmp_path: Path, roots: list[Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_folder([Path("~/one")], "mini") == (roots[0] / "mini", roots[0])
