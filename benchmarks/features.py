"""What is left of the backbone's own forward rate when features are extracted as jobs do: 2,000 tweets, and photos.

    python -m benchmarks.features [text] [image] [--rows 2000] [--pairs 5] [--assets DIR] [--photos ZIP]

Ours: digests, tokenising or decoding, batches, forward passes, pooling and the cache's durable writes, with an empty cache. Raw: the same module
in the same dtype, nothing else. For texts as many tokens as ours are without padding, random ids in batches of one length and of the same
budget. For images pixels that lie ready, in batches of 32 or of the plan's size, in either layout, whichever is fastest. The pairs alternate.
On a machine that others use the ratio of processor times says more than that of seconds.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import spread
from headstart.demos import backbone_folder, dataset_file, default_assets_root
from headstart.engine import hardware
from headstart.engine.backbones.anatomy import read_anatomy
from headstart.engine.backbones.families import call
from headstart.engine.backbones.importing import import_folder
from headstart.engine.backbones.loading import Backbone, load_backbone
from headstart.engine.batches import plan_batches
from headstart.engine.cache import CacheKey, FeatureCache
from headstart.engine.examples import Example
from headstart.engine.features import extract
from headstart.engine.inputs import Batch
from headstart.engine.precision import choose, device_class, measure_prefix
from headstart.engine.prefix import DTYPES, Prefix
from headstart.planning.plan import BATCH_TOKENS

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "trashnet_mini" / "trashnet_mini.zip"
MODALITIES = {"text", "image"}
LEAST_SHARE = 0.85
RAW_IMAGES = 32
WARM_ROWS = 64


@dataclass(frozen=True, slots=True)
class Spent:
    """Units done, and the seconds of the clock and of the processor that they took."""

    units: int
    seconds: float
    processor: float


def spent(work: Callable[[], int]) -> Spent:
    started, processor = time.perf_counter(), time.process_time()
    units = work()
    return Spent(units, time.perf_counter() - started, time.process_time() - processor)


@dataclass(frozen=True, slots=True)
class Setting:
    """A backbone as a job has it, on its examples."""

    backbone: Backbone
    prefix: Prefix
    examples: Sequence[Example]
    limit: int | None
    batch_tokens: int

    def ours(self, root: Path, rows: int | None = None) -> int:
        """Extract with an empty cache below `root`; gives the units computed."""
        made = extract(
            self.prefix,
            self.backbone.preprocessor,
            self.examples[:rows],
            limit=self.limit,
            batch_tokens=self.batch_tokens,
            cache=FeatureCache(root, self.key),
            clock=time.monotonic,
            progress=lambda _share, _done, _all: None,
        )
        return made.units_computed

    @property
    def key(self) -> CacheKey:
        return CacheKey(
            workspace="ws",
            backbone_sha256=self.backbone.sha256,
            boundary=self.backbone.anatomy.default_layer,
            pooling="mean",
            preprocessing=self.backbone.preprocessor.digest(self.limit),
            dtype=self.prefix.dtype,
            device=device_class(self.prefix.device),
            torch=torch.__version__,
            transformers="",
        )

    def forward(self, batch: Batch) -> None:
        """The module alone, up to its last hidden state."""
        dtype = DTYPES[self.prefix.dtype]
        reduced = dtype is not torch.float32
        with torch.inference_mode(), torch.autocast("cpu", dtype=dtype if reduced else None, enabled=reduced, cache_enabled=False):
            call(self.prefix.module, batch.tensors)


def setting(folder: Path, examples: Sequence[Example]) -> Setting:
    with tempfile.TemporaryDirectory() as name:
        files = import_folder(folder, Path(name), max_bytes=1 << 31)
        backbone = load_backbone(Path(name), read_anatomy(Path(name), files, license=None))
    anatomy = backbone.anatomy
    limit, layer = backbone.preprocessor.most, anatomy.layer(anatomy.default_layer)
    precision = choose(
        "auto", lambda: measure_prefix(backbone.module, backbone.preprocessor, [layer], "mean", examples, limit, time.monotonic)
    )
    print(f"{folder.name} runs in {precision.dtype}: {precision.reason}")
    prefix = Prefix(backbone.module, [layer], "mean", precision.dtype)
    return Setting(backbone, prefix, examples, limit, max(BATCH_TOKENS, limit or 0))


def raw_texts(made: Setting, tokens: int) -> Callable[[], int]:
    """As many tokens in batches of one length, that of an average text, and of the same budget."""
    unique = list(dict.fromkeys(made.examples))
    length = round(tokens / len(unique))
    sizes = [len(batch) for batch in plan_batches(np.full(round(tokens / length), length, np.int64), made.batch_tokens)]
    batches = [made.backbone.preprocessor.sample(length, rows, seed) for seed, rows in enumerate(sizes)]

    def forward() -> int:
        for batch in batches:
            made.forward(batch)
        return length * sum(sizes)

    return forward


def raw_images(made: Setting, rows: int, layout: torch.memory_format) -> Callable[[], int]:
    """All images, decoded before, `rows` at a time."""
    encoded = made.backbone.preprocessor.encode(made.examples, None)
    parts = np.array_split(np.arange(len(made.examples)), -(-len(made.examples) // rows))
    batches = [{name: each.contiguous(memory_format=layout) for name, each in encoded.batch(part).tensors.items()} for part in parts]

    def forward() -> int:
        for tensors in batches:
            made.forward(Batch(tensors, None))
        return int(encoded.lengths.sum())

    return forward


def compare(made: Setting, raws: Sequence[Callable[[], int]], pairs: int, unit: str, units_each: int) -> bool:
    """Alternate, and print; whether the median is enough."""
    found = []
    for raw in raws:
        raw()
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as folder:
            one = spent(partial(made.ours, Path(folder)))
        others = [spent(raw) for raw in raws]
        found.append((one, min(others, key=lambda each: each.seconds / each.units)))
        print(unit, found[-1], file=sys.stderr, flush=True)
    print(f"| {unit} a second, raw | Headstart | Headstart ÷ raw | by processor time |\n|---|---|---|---|")
    columns = [
        [other.units / units_each / other.seconds for _, other in found],
        [one.units / units_each / one.seconds for one, _ in found],
    ]
    shares = [one.units / one.seconds / (other.units / other.seconds) for one, other in found]
    processor = [one.units / one.processor / (other.units / other.processor) for one, other in found]
    print(f"| {' | '.join([*(spread(column, 0) for column in columns), spread(shares, 3), spread(processor, 3)])} |", flush=True)
    return statistics.median(shares) >= LEAST_SHARE


def texts(assets: Path, rows: int, pairs: int) -> bool:
    with open(dataset_file(assets, "tweets"), newline="") as file:
        examples = [row["text"] for row in csv.DictReader(file)][:rows]
    made = setting(backbone_folder(assets, "minilm-l6"), examples)
    with tempfile.TemporaryDirectory() as folder:
        tokens = made.ours(Path(folder))  # also warms up
    return compare(made, [raw_texts(made, tokens)], pairs, "tokens", 1)


def images(assets: Path, photos: Path, rows: int, pairs: int) -> bool:
    path = photos if photos.exists() else dataset_file(assets, "digits")
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith((".jpg", ".jpeg", ".png"))][:rows]
        examples = list(dict.fromkeys(archive.read(name) for name in names))
    print(f"{len(examples):,} images of {path.name}")
    made = setting(backbone_folder(assets, "efficientnet-lite0"), examples)
    with tempfile.TemporaryDirectory() as folder:
        made.ours(Path(folder), WARM_ROWS)
    each = int(made.backbone.preprocessor.encode(examples[:1], None).lengths[0])
    sizes, layouts = (RAW_IMAGES, max(1, made.batch_tokens // each)), (torch.contiguous_format, torch.channels_last)
    raws = [raw_images(made, size, layout) for size in sizes for layout in layouts]
    return compare(made, raws, pairs, "images", each)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="text|image")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--assets", type=Path, default=default_assets_root())
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    options = parser.parse_args()
    what = options.what or MODALITIES
    if not set(what) <= MODALITIES:  # argparse itself would hold its own default against `choices`
        parser.error(f"choose from {', '.join(sorted(MODALITIES))}")
    print(hardware.measure().model_dump_json())
    enough = []
    if "text" in what:
        enough.append(texts(options.assets, options.rows, options.pairs))
    if "image" in what:
        enough.append(images(options.assets, options.photos, options.rows, options.pairs))
    return 0 if all(enough) else 1


if __name__ == "__main__":
    sys.exit(main())
