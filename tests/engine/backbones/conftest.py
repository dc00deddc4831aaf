"""Backbones to read: the real MiniLM where it was fetched, and tiny ones of several families."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headstart.demos import backbone_folder, default_assets_root
from headstart.engine.backbones.importing import import_folder
from headstart.errors import Unavailable
from tests.engine.tiny import make_tiny_backbone

ROOMY_BYTES = 1 << 30

_heard: list[str] = []
_listening: list[bool] = []


def _listen(event: str, _arguments: tuple[Any, ...]) -> None:
    if _listening and event in {"socket.connect", "socket.getaddrinfo", "pickle.find_class", "subprocess.Popen", "os.system"}:
        _heard.append(event)


@pytest.fixture(scope="session")
def _audit() -> None:
    sys.addaudithook(_listen)  # a hook stays for ever, so it is switched by `_listening`


@pytest.fixture
def canaries(_audit: None) -> Iterator[list[str]]:
    """Events that no backbone may cause: code found by pickle, a process, a connection. Must be empty at the end."""
    _heard.clear()
    _listening.append(True)
    yield _heard
    _listening.clear()
    assert _heard == []


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function: model type → the folder of a tiny backbone, which tests must not change."""
    made: dict[str, Path] = {}

    def folder_of(model_type: str) -> Path:
        if model_type not in made:
            made[model_type] = tmp_path_factory.mktemp(model_type)
            make_tiny_backbone(made[model_type], model_type)
        return made[model_type]

    return folder_of


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The real MiniLM, taken in: its folder and the digest of each file."""
    try:
        source = backbone_folder(default_assets_root(), "minilm-l6")
    except Unavailable as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("minilm")
    return folder, import_folder(source, folder, max_bytes=ROOMY_BYTES)
