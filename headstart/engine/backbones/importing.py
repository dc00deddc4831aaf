"""Taking in a user's folder: only known files, only regular ones, copied below a directory handle and hashed on the way."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstart.errors import BadInput, TooLarge, listing, quote

MAX_ENTRIES = 10_000
"""A folder with more names than this is not a model folder."""

MAX_TEXT_BYTES = 128 * 1024 * 1024
"""The most that one file other than weights may hold."""

_TAKEN = frozenset(
    {
        "added_tokens.json",
        "config.json",
        "merges.txt",
        "model.safetensors.index.json",
        "preprocessor_config.json",
        "processor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    }
)
_WEIGHTS = re.compile(r"model(-[0-9]{5}-of-[0-9]{5})?\.safetensors")
_UNSAFE = re.compile(
    r"\.(bin|ckpt|dill|dll|h5|hdf5|joblib|keras|mar|msgpack|npy|npz|pickle|pkl|pt|pt2|pth|py|pyc|pyd|pyx|sh|so|t7)", re.IGNORECASE
)
"""Endings of pickles, and of code."""

_NOT_BLOCKING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: opening a FIFO must not wait for a writer
_CHUNK_BYTES = 1 << 20


def import_folder(source: Path, target: Path, *, max_bytes: int, root: Path | None = None) -> dict[str, str]:
    """Copy the files of a backbone from `source` into the empty folder `target`.

    Args:
        source: a folder; its own name must not be a symbolic link.
        target: an existing empty folder, made whole by the caller (`blobs.write_folder`).
        max_bytes: the most that all copied files may hold together.
        root: when given, `source` must lie below it, and no step between the two may be a symbolic link.

    Returns:
        The sha256 of each copied file, by name, of the bytes that were written.

    Raises:
        BadInput: `unsafe_files` (pickles, code, links, devices), or `invalid_field` when it is no backbone folder.
        TooLarge: more than `max_bytes`.
    """
    with _opened_folder(source, root) as handle:
        names = _names_to_take(handle)
        digests = {}
        left = max_bytes
        for name in names:
            digests[name], size = _copy(handle, name, target / name, left)
            left -= size
    _check_complete(target, digests)
    return digests


def folder_sha256(files: Mapping[str, str]) -> str:
    """One digest over a folder: sha256 of the sorted lines `digest  name`, as `sha256sum` prints them."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


@contextmanager
def _opened_folder(source: Path, root: Path | None) -> Iterator[int]:
    """A handle of `source`, reached from `root` one step at a time without following a link."""
    first, steps = (source, ()) if root is None else (root, _steps_below(source, root))
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        # An administrator's root may be a link; nothing below it may.
        handle = os.open(first, flags if root is not None else flags | os.O_NOFOLLOW)
    except OSError as error:
        raise _no_folder() from error
    try:
        for step in steps:
            try:
                deeper = os.open(step, flags | os.O_NOFOLLOW, dir_fd=handle)
            except OSError as error:
                raise _no_folder() from error
            os.close(handle)
            handle = deeper
        yield handle
    finally:
        os.close(handle)


def _steps_below(source: Path, root: Path) -> tuple[str, ...]:
    if not source.is_relative_to(root) or ".." in source.parts:
        raise _no_folder()
    return source.relative_to(root).parts


def _no_folder() -> BadInput:
    return BadInput(
        "invalid_field", "There is no such folder of a backbone.", "Name a real folder below a backbone root; links are not followed."
    )


def _names_to_take(handle: int) -> list[str]:
    """The names to copy, once every name in the folder has been judged."""
    names = sorted(os.listdir(handle))
    if len(names) > MAX_ENTRIES:
        raise _unsafe(f"The folder holds {len(names)} files.", f"A backbone folder holds at most {MAX_ENTRIES}.")
    code = [name for name in names if _UNSAFE.fullmatch(Path(name).suffix)]
    if code:
        raise _unsafe(f"The folder holds files that can run code: {listing(code, 5)}.", "Keep the safetensors weights and remove these.")
    for name in names:
        mode = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise _unsafe(
                f"{quote(name)} is a link or a device.", "Copy the folder with its links resolved (`cp -rL`) and register the copy."
            )
    return [name for name in names if name in _TAKEN or _WEIGHTS.fullmatch(name)]


def _unsafe(message: str, hint: str) -> BadInput:
    return BadInput("unsafe_files", message, hint)


def _copy(folder: int, name: str, target: Path, left: int) -> tuple[str, int]:
    """Digest and size of what was copied; the open handle is judged again, so a name swapped after the listing gains nothing."""
    try:
        handle = os.open(name, _NOT_BLOCKING, dir_fd=folder)
    except OSError as error:
        raise _unsafe(f"{quote(name)} cannot be opened as a plain file.", "Copy the folder and register the copy.") from error
    digest, size = hashlib.sha256(), 0
    limit = left if _WEIGHTS.fullmatch(name) else min(left, MAX_TEXT_BYTES)
    with open(handle, "rb", buffering=0) as file, open(target, "xb") as out:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _unsafe(f"{quote(name)} is not a plain file.", "Copy the folder and register the copy.")
        while chunk := file.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > limit:
                raise TooLarge(
                    "too_large", f"The backbone is larger than allowed, at {quote(name)}.", "An administrator can raise the limit."
                )
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest(), size


def _check_complete(target: Path, digests: Mapping[str, str]) -> None:
    """A configuration without code, and all the weights that the index names."""
    if "config.json" not in digests:
        raise BadInput(
            "invalid_field",
            "The folder has no config.json.",
            "A backbone needs its configuration; `save_pretrained` of transformers writes it.",
        )
    for name in ("config.json", "tokenizer_config.json"):
        if name in digests and "auto_map" in read_json(target / name):
            raise _unsafe(
                f"{name} asks for code of its own (auto_map).", "Only architectures that transformers itself carries can be used."
            )
    if "model.safetensors" in digests:
        return
    shards = set()
    if "model.safetensors.index.json" in digests:
        index = read_json(target / "model.safetensors.index.json").get("weight_map")
        shards = {str(shard) for shard in index.values()} if isinstance(index, dict) else set()
    if not shards or not shards <= {name for name in digests if _WEIGHTS.fullmatch(name)}:
        raise BadInput(
            "weights_invalid", "The folder lacks its safetensors weights.", "Expected model.safetensors, or an index with all its parts."
        )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a backbone.

    Raises:
        BadInput: `config_refused`, when it is not one JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInput("config_refused", f"{path.name} is not readable JSON.", "Save the backbone again with transformers.") from error
    if not isinstance(value, dict):
        raise BadInput("config_refused", f"{path.name} is not a JSON object.", "Save the backbone again with transformers.")
    return value
