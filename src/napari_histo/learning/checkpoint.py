"""What a stopped training needs to go on, in a folder beside the model's."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from napari_histo.errors import ModelError, WriteError
from napari_histo.models.region.net import RegionNet
from napari_histo.store import atomic_path
from napari_histo.store.replacing import everything
from napari_histo.store.write import make_folder

__all__ = ["Checkpoint", "State"]

_EVERY_S = 20.0
_ASKED = "asked.json"


@dataclass
class State:
    """A network on its way.

    Attributes
    ----------
    net, optimiser
    average : RegionNet
        Of the late weights: what is judged and kept.
    step : int
        Steps done.
    loss : float
        Mean of late.
    seconds : float
        Spent on training, over all calls.
    """

    net: RegionNet
    optimiser: torch.optim.Optimizer
    average: RegionNet
    step: int = 0
    loss: float = math.nan
    seconds: float = 0.0


class Checkpoint:
    """Files of one training.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept_at = time.monotonic()

    @classmethod
    @contextmanager
    def open(cls, model: Path, facts: Mapping[str, Any], *, resume: bool) -> Iterator[Self]:
        """The folder for a model, new or gone on with; removed on errors before the first step.

        Raises
        ------
        ModelError
            `resume` is asked for, but the stopped training was another.
        WriteError
            Somebody keeps other files in the folder, which would be removed with it.
        """
        folder = model.with_name(f"{model.name}.training")
        asked = folder / _ASKED
        _check_own(folder)
        if resume and asked.is_file():
            _compare(folder, json.loads(asked.read_text(encoding="utf-8")), facts)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            make_folder(folder)
            with atomic_path(asked) as work:
                work.write_text(json.dumps(facts), encoding="utf-8")
        try:
            yield cls(folder)
        finally:
            if folder.is_dir() and not any(folder.glob("*.pt")):
                shutil.rmtree(folder, ignore_errors=True)

    def load(self, name: str, state: State) -> None:
        """Put what was kept of a network into `state`; nothing where there is none."""
        path = self._path(name)
        if not path.is_file():
            return
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
            state.net.load_state_dict(kept["net"])
            state.average.load_state_dict(kept["average"])
            state.optimiser.load_state_dict(kept["optimiser"])
        except Exception as error:  # torch raises what pickle, zip files and the disk do
            raise ModelError(
                f"{path} is damaged ({type(error).__name__}: {error}). Train anew, without "
                "--resume."
            ) from error
        state.step, state.loss, state.seconds = kept["step"], kept["loss"], kept["seconds"]

    def save(self, name: str, state: State) -> None:
        """Keep a network, whole or not at all."""
        parts = {"net": state.net, "average": state.average}
        kept: dict[str, Any] = {part: net.state_dict() for part, net in parts.items()}
        kept["optimiser"] = state.optimiser.state_dict()
        plain = {"step": state.step, "loss": state.loss, "seconds": state.seconds}
        with atomic_path(self._path(name)) as work:
            torch.save(kept | plain, work)
        self._kept_at = time.monotonic()

    def save_now_and_then(self, name: str, state: State) -> None:
        """Keep it if the last time is 20 s ago."""
        if time.monotonic() - self._kept_at > _EVERY_S:
            self.save(name, state)

    def remove(self) -> None:
        """The training is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.pt"


def _check_own(folder: Path) -> None:
    names = everything(folder) if folder.is_dir() else []
    # The last is what a writing that was killed leaves behind.
    own = (_ASKED, ".pt", ".part.json")
    if others := [name for name in names if not name.endswith(own)]:
        raise WriteError(
            f"{folder} holds other files, {others[0]} for example, and is where a training keeps "
            "what it needs to go on, and removes it at the end. Name the model otherwise, or move "
            "the files."
        )


def _compare(folder: Path, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    other = [f"{k} was {kept.get(k)}, now {v}" for k, v in asked.items() if kept.get(k) != v]
    if other:
        raise ModelError(
            f"{folder} holds a training that was asked for otherwise: {'; '.join(other)}. Ask for "
            "the same, or begin again: with --anew (learn train), without --resume (regions train)."
        )
