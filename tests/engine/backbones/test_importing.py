"""What is taken from a user's folder, and what makes the whole folder unwelcome."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.engine.backbones.importing import folder_sha256, import_folder
from headstart.errors import BadInput, TooLarge

ROOMY_BYTES = 1 << 30


@pytest.fixture
def source(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("bert"), tmp_path / "roots" / "mine"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "taken"
    folder.mkdir()
    return folder


def refusal(source: Path, target: Path, root: Path | None = None) -> BadInput:
    with pytest.raises(BadInput) as caught:
        import_folder(source, target, max_bytes=ROOMY_BYTES, root=root)
    assert str(source) not in str(caught.value)
    return caught.value


def test_known_files_are_copied_and_hashed_and_others_stay_behind(source: Path, target: Path) -> None:
    (source / "README.md").write_text("# mine")
    (source / "notes.txt").write_text("private")
    (source / "1_Pooling").mkdir()
    files = import_folder(source, target, max_bytes=ROOMY_BYTES)
    assert set(files) == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert sorted(path.name for path in target.iterdir()) == sorted(files)
    for name, digest in files.items():
        assert hashlib.sha256((target / name).read_bytes()).hexdigest() == digest
        assert (target / name).read_bytes() == (source / name).read_bytes()


def test_folder_digest_does_not_depend_on_order_but_on_every_name_and_digest() -> None:
    files = {"a": "0" * 64, "b": "1" * 64}
    assert folder_sha256(files) == folder_sha256(dict(reversed(files.items())))
    assert len({folder_sha256(files), folder_sha256({"a": "0" * 64}), folder_sha256({"a": "1" * 64, "b": "0" * 64})}) == 3


@pytest.mark.parametrize("name", ["pytorch_model.bin", "x.PT", "optimizer.pkl", "array.npy", "tf_model.h5", "modeling_x.py", "a.ckpt"])
def test_a_folder_with_a_pickle_or_code_is_refused_and_nothing_runs(source: Path, target: Path, canaries: list[str], name: str) -> None:
    canary = source / "canary"
    (source / name).write_bytes(f"cos\nsystem\n(S'touch {canary}'\ntR.".encode())
    refused = refusal(source, target)
    assert refused.code == "unsafe_files"
    assert name in refused.message
    assert not canary.exists()
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_configuration_that_asks_for_its_own_code_is_refused(source: Path, target: Path, canaries: list[str], name: str) -> None:
    config = json.loads((source / name).read_text())
    (source / name).write_text(json.dumps({**config, "auto_map": {"AutoModel": "modeling_x.Canary"}}))
    assert refusal(source, target).code == "unsafe_files"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "anything"])
def test_a_link_in_the_folder_is_refused(source: Path, target: Path, name: str) -> None:
    (source / name).unlink(missing_ok=True)
    (source / name).symlink_to("/etc/passwd")
    refused = refusal(source, target)
    assert refused.code == "unsafe_files"
    assert name in refused.message


def test_a_pipe_is_refused_without_waiting_for_a_writer(source: Path, target: Path) -> None:
    (source / "tokenizer.json").unlink()
    os.mkfifo(source / "tokenizer.json")
    assert refusal(source, target).code == "unsafe_files"


def test_links_between_root_and_folder_are_not_followed(source: Path, target: Path) -> None:
    root = source.parent / "allowed"
    root.mkdir()
    (root / "door").symlink_to(source.parent)
    (root / "folder").symlink_to(source)
    for path in (root / "door" / "mine", root / "folder", root / ".." / "mine", source, root / "absent"):
        assert refusal(path, target, root).code == "invalid_field"
    assert list(target.iterdir()) == []
    assert import_folder(source, target, max_bytes=ROOMY_BYTES, root=source.parent)


def test_a_source_that_is_itself_a_link_is_refused(source: Path, target: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    assert refusal(tmp_path / "link", target).code == "invalid_field"


def test_more_bytes_than_allowed_are_refused(source: Path, target: Path) -> None:
    total = sum((source / name).stat().st_size for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"))
    with pytest.raises(TooLarge) as caught:
        import_folder(source, target, max_bytes=total - 1)
    assert caught.value.code == "too_large"
    shutil.rmtree(target)
    target.mkdir()
    import_folder(source, target, max_bytes=total)


@pytest.mark.parametrize(("name", "code"), [("config.json", "invalid_field"), ("model.safetensors", "weights_invalid")])
def test_a_folder_that_lacks_a_part_says_which(source: Path, target: Path, name: str, code: str) -> None:
    (source / name).unlink()
    refused = refusal(source, target)
    assert refused.code == code
    assert Path(name).suffix[1:] in str(refused)


@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/passwd", "model-00001-of-00002.safetensors", ""])
def test_an_index_that_names_a_file_outside_or_absent_is_refused(source: Path, target: Path, shard: str) -> None:
    (source / "model.safetensors").unlink()
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": shard}}))
    assert refusal(source, target).code == "weights_invalid"


def test_a_configuration_nested_too_deep_is_words_not_a_crash(source: Path, target: Path) -> None:
    (source / "config.json").write_text("[" * 100_000)
    assert refusal(source, target).code == "config_refused"
