"""The one module that imports the engine, and only when it is asked to: torch takes seconds to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app.serving.inputs import Given
from headstart.specs.backbones import Anatomy
from headstart.specs.predictions import PredictedRow


class Predicts(Protocol):
    """One adapted model, loaded."""

    def predict(
        self, inputs: Sequence[Given], *, top_k: int | None = None, tasks: Sequence[str] | None = None
    ) -> tuple[list[PredictedRow], int]: ...


class Loads(Protocol):
    """What serving needs of the engine; tests give another implementation."""

    def load_backbone(self, folder: Path, anatomy: Anatomy) -> Any: ...  # noqa: ANN401 - the engine's own

    def load_predictor(self, backbone: Any, folder: Path, parents: Sequence[Path]) -> Predicts: ...  # noqa: ANN401


@dataclass(frozen=True, slots=True)
class TorchEngine:
    """`headstart.engine`, imported.

    Attributes:
        device: what backbones are loaded to, and predictions computed on; a `torch.device`.
    """

    device: Any

    def load_backbone(self, folder: Path, anatomy: Anatomy) -> Any:  # noqa: ANN401
        from headstart.engine.backbones.loading import load_backbone  # noqa: PLC0415 - the reason for this module

        return load_backbone(folder, anatomy, self.device)

    def load_predictor(self, backbone: Any, folder: Path, parents: Sequence[Path]) -> Predicts:  # noqa: ANN401
        from headstart.engine.artifacts import load_artifact  # noqa: PLC0415
        from headstart.engine.predictor import Predictor  # noqa: PLC0415

        return Predictor(backbone, load_artifact(folder), [load_artifact(parent) for parent in parents])


def import_engine(device: str = "auto") -> Loads:
    """Import all that a prediction needs; seconds the first time.

    Raises:
        BadInput: `invalid_field`, when there is no such device.
    """
    import headstart.engine.artifacts  # noqa: PLC0415
    import headstart.engine.backbones.loading  # noqa: PLC0415
    import headstart.engine.predictor  # noqa: F401, PLC0415
    from headstart.engine.devices import choose_device  # noqa: PLC0415

    return TorchEngine(choose_device(device))
