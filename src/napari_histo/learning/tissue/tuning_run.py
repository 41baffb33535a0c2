"""One training of a region model in rounds: its sheets, its steps, and its end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_histo.core import CancelToken, ClassScheme, ModelInfo
from napari_histo.core.regions import is_background
from napari_histo.errors import ObjectsFileError
from napari_histo.learning.course.memory import step_bytes
from napari_histo.learning.course.run import Course
from napari_histo.learning.course.state import State
from napari_histo.learning.tissue.counting import PixelCounts
from napari_histo.learning.tissue.evaluation import as_painted
from napari_histo.learning.tissue.examples import Sheet, chosen, held_out, painted_classes
from napari_histo.learning.tissue.growing import grown
from napari_histo.learning.tissue.judging import counts_on
from napari_histo.learning.tissue.params import RegionTuning
from napari_histo.learning.tissue.patches import Batch, PatchSource
from napari_histo.learning.tissue.reading import sheets_of
from napari_histo.learning.tissue.tuner import RegionTuner
from napari_histo.learning.training import (
    CurvePoint,
    Example,
    Examples,
    as_examples,
)
from napari_histo.models.region.net import RegionNet
from napari_histo.models.region.segmenter import (
    TorchRegionSegmenter,
    load_region_model,
    save_region_model,
)
from napari_histo.models.registry import model_folder
from napari_histo.ops.metrics import Agreement

__all__ = ["RegionRun"]

_RATE, _DECAY = 1e-3, 1e-3
_BACKGROUND = "Background"


@dataclass(frozen=True, eq=False)
class _Parent:
    """The model to go on from."""

    model: TorchRegionSegmenter
    sha256: str

    @classmethod
    def of(cls, name: str, device: str) -> _Parent:
        folder = model_folder(name)
        model = load_region_model(folder, device=device)
        files = sorted(folder.rglob("*.safetensors"))
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
        return cls(model, digest.hexdigest())


class RegionRun(Course[RegionNet, Batch, RegionTuning]):
    """One training: what it needs, its steps, and its end.

    The parent is the first of those that may be best; its guide, where it has one, is kept as it
    is. Painted classes that it does not know come after its own.

    Parameters
    ----------
    name : path or str
        Of the parent, or its folder.
    regions, replay, validation : Examples
        See `tune_regions`.
    params : RegionTuning
    """

    quality_words = "Dice {:.2f}"
    last_words = "Judging the areas"
    most_judges = 12
    least_judged = 500  # px
    things = "areas"

    def __init__(
        self,
        name: Path | str,
        regions: Examples,
        replay: Examples,
        validation: Examples,
        params: RegionTuning,
    ) -> None:
        new, old, judge = (
            [_named(e) for e in as_examples(some)] for some in (regions, replay, validation)
        )
        self.parent = _Parent.of(str(name), params.device)
        super().__init__((new, old, judge), params, self.parent.sha256)
        parent = self.parent.model
        painted, _ = painted_classes([as_painted(e) for e in (*new, *old)])
        classes = parent.info.classes.union(painted)
        self.info = replace(parent.info, name=params.name, classes=classes)
        more = len(classes) - len(parent.info.classes)
        net, self.shape = grown(parent.net, parent.shape, more, params.seed)
        self.state = State.new(net, self.device, _DECAY)
        self._read()
        self.tuner = RegionTuner(
            self.state,
            parent.shape.classes,
            device=self.device,
            distillation=params.distillation,
            steps=params.steps,
            tell=self.messages.append,
        )

    def model(self, net: RegionNet) -> TorchRegionSegmenter:
        """A network as a segmenter."""
        guide = self.parent.model.guide
        return TorchRegionSegmenter(net, self.shape, self.info, guide=guide, device=self.device)

    # -- see Course ------------------------------------------------------------------------------

    def write(
        self, folder: Path, best_step: int, about: Mapping[str, Any], cancel: CancelToken
    ) -> tuple[Mapping[str, Any], Agreement]:
        """See `Course.write`."""
        n, parent = len(self.teach) + len(self.replay), self.parent.model.info.name
        names = ", ".join(self.info.classes.names)
        text = f"Tells {names} apart; learned from {n} painted regions, from {parent}."
        self.info = replace(self.info, description=text)
        model = self.model(self.state.ema)
        found = counts_on(model, self.exams)
        card = {**self._story(parent, best_step, _metrics(found, len(self.exams))), **about}
        save_region_model(folder, model, card)
        return card, found.agreement

    def read(self, folder: Path) -> TorchRegionSegmenter:
        """See `Course.read`."""
        return load_region_model(folder, device=self.params.device)

    def drawn(self) -> AbstractContextManager[Iterator[Batch]]:
        """See `Course.drawn`."""
        return nullcontext(map(self._draw, count(self.state.step)))

    def learn(self, batch: Batch, rate: float) -> None:
        """See `Course.learn`."""
        self.tuner.learn(batch, rate)

    def look(self, step: int, loss: float, cancel: CancelToken) -> CurvePoint:
        """See `Course.look`; Dice stands in the place of PQ."""
        cancel.raise_if_cancelled()
        found = counts_on(self.model(self.state.ema), [self.exams[i] for i in self.often])
        self.n_judged = found.tp + found.fn
        return CurvePoint(step, loss, found.agreement.dice)

    def memory_bytes(self) -> int:
        """See `Course.memory_bytes`."""
        side, shape = self.params.patch_px, self.shape
        n_in = shape.channels + (shape.classes if shape.guided else 0)
        largest = torch.zeros(1, n_in, side, side, device=self.device)
        needs = step_bytes(self.state.ema, largest, self.params.batch, "float32")
        return needs + sum(s.pixels.nbytes + s.labels.nbytes for s in self._kept)

    @property
    def _peak_rate(self) -> float:
        return _RATE

    # -- pixels ----------------------------------------------------------------------------------

    def _read(self) -> None:
        """Sheets that teach, and those that judge: of other regions, or cells held out of these."""
        guide, params = self.parent.model.guide, self.params
        painted = [as_painted(e) for e in (*self.teach, *self.replay)]
        sheets = sheets_of(painted, self.info, guide, CancelToken())
        if self.judge:
            judging = [as_painted(e) for e in self.judge]
            self.exams = sheets_of(judging, self.info, guide, CancelToken())
        else:
            um = self.info.pixel_size_um or 1.0
            sheets, self.exams = held_out(sheets, params.held_out, params.seed, um)
        rng = np.random.default_rng([params.seed, 2])
        self.often = sorted(rng.permutation(len(self.exams))[: self.most_judges].tolist())
        new = chosen([s for s in sheets if s.example < len(self.teach)], rng)
        old = chosen([s for s in sheets if s.example >= len(self.teach)], rng)
        if not new and not old:
            raise ObjectsFileError(
                "The labelled regions hold no painted area, and a region model learns from areas "
                "alone. Paint some with their class, and 'Ignore*' where there is no tissue."
            )
        self._kept = [*new, *old, *self.exams]
        self._new, self._old = (_source(some, self.info, params.patch_px) for some in (new, old))

    def _draw(self, step: int) -> Batch:
        """The batch of a step: some patches of earlier rounds, the others of this one."""
        params, rng = self.params, np.random.default_rng([self.params.seed, 3, step])
        n_old = int(np.floor(params.replay_share * params.batch + rng.random()))
        if self._new is None or self._old is None:
            n_old = params.batch if self._new is None else 0
        pairs = ((self._old, n_old), (self._new, params.batch - n_old))
        parts = [source.draw(n, rng) for source, n in pairs if source is not None and n]
        return Batch(torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts]))


def _source(sheets: Sequence[Sheet], info: ModelInfo, side_px: int) -> PatchSource | None:
    return PatchSource(sheets, side_px, is_rgb=info.channels == "rgb") if sheets else None


def _named(example: Example) -> Example:
    """Background under one name that counts as a class like others: it is painted, and teaches."""
    table = example.labels.objects
    names = [_BACKGROUND if is_background(c) else c.name for c in table.classes]
    scheme = ClassScheme.of(*dict.fromkeys(names))
    ids = np.array([*(scheme.index(n) for n in names), -1], np.int32)
    table = table.with_columns(classes=scheme, class_id=ids[table.class_id])
    return example._replace(labels=replace(example.labels, objects=table))


def _metrics(found: PixelCounts, n: int) -> list[dict[str, Any]]:
    """What a card says of how well the model does."""
    if not found.tp + found.fp + found.fn:
        return []
    dice = round(found.agreement.dice, 4)
    return [{"data": "what judged", "sheets": n, "pixels": found.tp + found.fn, "dice": dice}]
