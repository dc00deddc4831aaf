"""An artifact is read back as it was written, or refused with words."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from headstart.engine.artifacts import CARD, HEADS_FILE, MANIFEST, BackboneRef, Manifest, TaskEntry, load_artifact, write_artifact
from headstart.errors import EngineFault

HEAD = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(2, np.float32)}


def manifest() -> Manifest:
    return Manifest(
        format=1,
        method="feature-extraction",
        backbone=BackboneRef(name="tiny", sha256="b"),
        boundary="encoder.layer.2",
        output="encoder.layer.2",
        pooling="mean",
        dtype="float32",
        max_tokens=64,
        batch_tokens=4096,
        preprocessing="p",
        tasks=[
            TaskEntry(
                name="a.b", type="text-classification", problem="single-label", inputs=["text"], classes=["neg", "pös"], head="linear"
            )
        ],
        versions={"torch": "2"},
        created_at="2026-11-24T03:00:00.000Z",
        files={},
    )


@pytest.fixture
def written(tmp_path):
    folder = tmp_path / "artifact"
    folder.mkdir()
    write_artifact(folder, manifest(), {"a.b": HEAD}, {}, "# Card\n")
    return folder


def test_artifact_comes_back_as_it_was_written(written):
    artifact = load_artifact(written)
    assert artifact.manifest.model_copy(update={"files": {}}) == manifest()
    assert all(np.array_equal(artifact.heads["a.b"][name], tensor) for name, tensor in HEAD.items())


def test_bytes_are_those_on_the_disk(tmp_path):
    size = write_artifact(tmp_path, manifest(), {"a.b": HEAD}, {}, "card")
    assert size == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_same_content_gives_the_same_bytes(written, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    write_artifact(other, manifest(), {"a.b": HEAD}, {}, "# Card\n")
    for name in (MANIFEST, HEADS_FILE, CARD):
        assert (written / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize("how", ["cut", "flip"])
@pytest.mark.parametrize("name", [MANIFEST, HEADS_FILE, CARD])
def test_changed_file_is_refused_wherever_it_changed(written, tmp_path, name, how):
    content = (written / name).read_bytes()
    for at in range(0, len(content), max(1, len(content) // 64)):
        changed = content[:at] if how == "cut" else content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        (written / name).write_bytes(changed)
        with pytest.raises(EngineFault) as fault:
            load_artifact(written)
        assert fault.value.code == "bad_data"
        assert "damaged" in fault.value.message or "newer" in fault.value.message


@pytest.mark.parametrize("name", [MANIFEST, HEADS_FILE, CARD])
def test_missing_file_is_refused(written, name):
    (written / name).unlink()
    with pytest.raises(EngineFault, match="damaged"):
        load_artifact(written)


def test_added_file_is_refused(written):
    (written / "extra.bin").write_bytes(b"")
    with pytest.raises(EngineFault, match="damaged"):
        load_artifact(written)


def test_folder_that_is_not_there_is_refused(written):
    shutil.rmtree(written)
    with pytest.raises(EngineFault, match="damaged"):
        load_artifact(written)


def test_newer_format_is_refused_with_words(written):
    record = json.loads((written / MANIFEST).read_text())
    (written / MANIFEST).write_text(json.dumps({**record, "format": 2}))
    with pytest.raises(EngineFault, match="newer version"):
        load_artifact(written)
