"""The words of training an object model on labelled regions. Light: no network is imported."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from napari_histo.core import CancelToken, Contours, PixelSize, Progress, SlideReader
from napari_histo.core.learning import LabelledRegion
from napari_histo.learning.course.params import PatchParams
from napari_histo.ops.metrics import Agreement

__all__ = [
    "CurvePoint",
    "Example",
    "Examples",
    "Preflight",
    "StarDistTraining",
    "TrainedModel",
    "Trainer",
    "TrainingStep",
    "as_examples",
    "hold_out",
    "hold_out_some",
]


class Example(NamedTuple):
    """A labelled region and the slide that it lies on.

    Attributes
    ----------
    reader : SlideReader
    labels : LabelledRegion
    pixel_size : PixelSize or None
        The user's word; it wins over the file's.
    group : str
        What must not be split between training and validation: a patient, a slide. By default the
        image's id.
    """

    reader: SlideReader
    labels: LabelledRegion
    pixel_size: PixelSize | None = None
    group: str = ""

    @property
    def kin(self) -> str:
        """The group, or else the image."""
        return self.group or self.labels.image

    def by_nuclei(self) -> Example:
        """Cells stand by the outlines of their nuclei; those without one, and the rest, as is."""
        table = self.labels.objects
        if table.nuclei is None:
            return self
        both = Contours.concat([table.contours, table.nuclei])
        rows = np.arange(len(table))
        outlines = both.take(np.where(table.nuclei.areas_px > 0, rows + len(table), rows))
        table = table.with_columns(contours=outlines, nuclei=None)
        return self._replace(labels=replace(self.labels, objects=table))


Examples = Sequence[Example | tuple[SlideReader, LabelledRegion]]


def as_examples(pairs: Iterable[Example | tuple[SlideReader, LabelledRegion]]) -> list[Example]:
    """Plain pairs as examples."""
    return [p if isinstance(p, Example) else Example(*p) for p in pairs]


def hold_out(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """What teaches and what judges: whole groups, at most a third of all regions.

    Where no group is that small, single regions judge. Nothing is held out of one region, or where
    `share` is 0.
    """
    n = len(examples)
    if share <= 0 or n < 2:
        return list(examples), []
    most = max(1, n // 3)
    kin = [e.kin for e in examples]
    if min(kin.count(k) for k in kin) > most or len(set(kin)) < 2:
        kin = [str(i) for i in range(n)]
    names = sorted(set(kin))
    judging: set[str] = set()
    taken = 0
    for i in np.random.default_rng([seed, 1]).permutation(len(names)):
        size = kin.count(names[i])
        if taken < share * n and taken + size <= most:
            judging.add(names[i])
            taken += size
    teach = [e for e, k in zip(examples, kin, strict=True) if k not in judging]
    return teach, [e for e, k in zip(examples, kin, strict=True) if k in judging]


def hold_out_some(
    new: Sequence[Example], old: Sequence[Example], share: float, seed: int
) -> tuple[list[Example], list[Example], list[Example]]:
    """New and old regions that teach, and those that judge; something new always teaches."""
    judge = hold_out([*new, *old], share, seed)[1]
    if all(any(e is j for j in judge) for e in new):
        fresh = {e.kin for e in new}
        judge = hold_out([e for e in old if e.kin not in fresh], share, seed)[1]
    held = {id(e) for e in judge}
    teach, replay = ([e for e in some if id(e) not in held] for some in (new, old))
    return teach, replay, judge


@dataclass(frozen=True)
class StarDistTraining(PatchParams):
    """How to train a StarDist model; what is not here, `PatchParams` says.

    The rate is 4e-3 by default for a new network, 1e-3 for one that goes on, which keeps its own
    pixel size. Sides of patches are multiples of 16 for the shipped ones. The parent's answers are
    heard on patches of earlier rounds.

    Attributes
    ----------
    distil_unlabelled : bool
        True to hold on to the parent's answers on unlabelled pixels of new regions too.
    freeze_norms : bool
        True to keep a parent's statistics of batch normalisation: little moves then, which is
        right for a few steps on much the same tissue.
    compose : float
        Share of the patches that are artificial, for fluorescence: single nuclei of the regions on
        emptied grounds, touching and overlapping more often than they do there.
    """

    distil_unlabelled: bool = False
    freeze_norms: bool = False
    compose: float = 0.0

    def _wrong(self) -> Iterator[str]:
        yield from super()._wrong()
        if not 0 <= self.compose <= 1:
            yield f"compose = {self.compose}, allowed is 0 to 1"


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """How well the model did after some steps, at the best of a few thresholds.

    Attributes
    ----------
    step : int
    loss : float
        Mean of the steps since the last point; NaN before the first.
    pq, ap, f1 : float
        Panoptic quality, TP / (TP + FP + FN) and F1 at an intersection over union of 0.5, on the
        regions that judge; NaN where there are none.
    click_iou : float
        Mean overlap of the answers to one click, for a model that answers clicks; else NaN.
    """

    step: int
    loss: float
    pq: float = math.nan
    ap: float = math.nan
    f1: float = math.nan
    click_iou: float = math.nan

    @property
    def quality(self) -> float:
        """What the training goes by: the IoU of clicks where there is one, else PQ."""
        return self.pq if math.isnan(self.click_iou) else self.click_iou

    @classmethod
    def of(cls, step: int, loss: float, found: Agreement) -> CurvePoint:
        """From an agreement with the truth."""
        return cls(step, loss, found.pq, found.ap[0.5], found.f1)


@dataclass(frozen=True, slots=True)
class TrainingStep(Progress):
    """A step of training.

    Attributes
    ----------
    loss : float
        Mean of late; NaN before the first step.
    point : CurvePoint or None
        A new point of the curve, where this step was judged.
    seconds_left : float
        Estimated; NaN while unknown.
    ahead : Preflight or None
        What the training will take, where this step is said before the first one.
    """

    loss: float = math.nan
    point: CurvePoint | None = None
    seconds_left: float = math.nan
    ahead: Preflight | None = None


@dataclass(frozen=True)
class TrainedModel:
    """A model that is done.

    Attributes
    ----------
    model : Segmenter or PromptSegmenter
        As `load_model` or `load_prompt_model` reads it from the folder.
    folder : Path
    agreement : Agreement
        On the regions that judged, at the new thresholds; empty where there were none.
    curve : tuple of CurvePoint
    best_step : int
        Whose weights were kept.
    seconds : float
        Of training, over all calls.
    card : mapping
        What was written beside the weights.
    """

    model: Any
    folder: Path
    agreement: Agreement
    curve: tuple[CurvePoint, ...]
    best_step: int
    seconds: float
    card: Mapping[str, Any] = field(default_factory=dict)


class Trainer(Protocol):
    """Training of one family of models; `train_stardist` and `train_click` are such.

    A folder goes in and a folder comes out, for a training must be stopped and gone on with in
    another process, and a record must name its parent by hash.
    """

    def __call__(
        self,
        parent: Any,
        regions: Examples,
        replay: Examples,
        folder: Path | str,
        params: Any = None,
        cancel: CancelToken | None = None,
        *,
        validation: Examples = (),
        about: Mapping[str, Any] | None = None,
        resume: bool = False,
    ) -> Generator[TrainingStep, None, TrainedModel]:
        """See `train_stardist`."""
        ...


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a training will take.

    Attributes
    ----------
    seconds : float
        Of all steps and looks at the regions that judge, from a few that were timed.
    memory_bytes : int
        Of the network, what it keeps for learning, and the pixels at hand.
    device : str
    n_regions, n_objects : int
        That teach, those of earlier rounds not counted.
    free_bytes : int or None
        Of the device, before; None where nobody can tell.
    things : str
        What stands in the place of objects.
    """

    seconds: float
    memory_bytes: int
    device: str
    n_regions: int
    n_objects: int
    free_bytes: int | None = None
    things: str = "objects"

    @property
    def is_tight(self) -> bool:
        """True where there is less memory than it takes."""
        return self.free_bytes is not None and self.memory_bytes > self.free_bytes

    def __str__(self) -> str:
        regions = "1 region" if self.n_regions == 1 else f"{self.n_regions} regions"
        tight = ""
        if self.is_tight and self.free_bytes is not None:
            tight = f"; only {self.free_bytes / 1e9:.1f} GB are free: close other programs"
        return (
            f"{self.n_objects} {self.things} in {regions}: {_long(self.seconds)} on {self.device}, "
            f"{self.memory_bytes / 1e9:.1f} GB of memory{tight}."
        )


def _long(seconds: float) -> str:
    if seconds < 60:
        return "less than a minute"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
