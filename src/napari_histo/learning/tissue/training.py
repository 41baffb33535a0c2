"""Training of region models on areas that people painted."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_histo.core import CancelToken, ClassScheme, ModelInfo, Progress
from napari_histo.core.regions import RegionSegmenter
from napari_histo.errors import ObjectsFileError
from napari_histo.learning.checkpoint import Checkpoint
from napari_histo.learning.tissue.examples import (
    RegionExample,
    Sheet,
    chosen,
    classes_of,
    held_out,
)
from napari_histo.learning.tissue.judging import iou_on, judged_places, mean_known
from napari_histo.learning.tissue.patches import PatchSource
from napari_histo.learning.tissue.reading import sheets_of
from napari_histo.learning.tissue.steps import learn, new_state
from napari_histo.models._device import pick_device
from napari_histo.models.region.net import DIVISOR, RegionNet
from napari_histo.models.region.segmenter import (
    REGION_FAMILY,
    NetShape,
    TorchRegionSegmenter,
    save_region_model,
)
from napari_histo.models.shelf.folder import beside_model
from napari_histo.store.write import check_writable

__all__ = ["RegionTraining", "TrainedRegions", "TrainingStep", "train_regions"]

#: Pixels of the guide are this many times larger.
_COARSER = 4
#: Share of the labels that judge and do not teach.
_HELD_OUT = 0.2
#: Steps between two looks at what was held out.
_JUDGE_EVERY = 50
#: Sheets that are looked at for it; all of them at the end.
_JUDGED = 12


@dataclass(frozen=True)
class RegionTraining:
    """How to train.

    Attributes
    ----------
    name : str
        Of the model.
    pixel_um : float
        Pixel size that the model works at, µm; 2 to 8 show tissue.
    steps : int
        Of the fine network; a guide takes half as many.
    guided : bool
        True for a coarser network beside it, so that clear parts of a slide are quickly done.
    batch, patch_px : int
        Patches a step, and their side, a multiple of 32.
    width : int
        Channels of the finest level of the networks.
    seed : int
        Of everything random.
    device : {"auto", "cpu", "cuda", "mps"}
    """

    name: str = "regions"
    pixel_um: float = 4.0
    steps: int = 400
    guided: bool = False
    batch: int = 8
    patch_px: int = 128
    width: int = 24
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.patch_px < 2 * DIVISOR or self.patch_px % (2 * DIVISOR):
            raise ValueError(f"patch_px is {self.patch_px}; give a multiple of {2 * DIVISOR}.")
        if min(self.steps, self.batch, self.width) < 1 or self.pixel_um <= 0:
            raise ValueError(f"{self}: steps, batch, width and pixel_um must be above 0.")


@dataclass(frozen=True, slots=True)
class TrainingStep(Progress):
    """A step of training; `message` says which network learns.

    Attributes
    ----------
    loss : float
        Mean cross-entropy of late, nats; NaN before the first step.
    iou : float
        Mean over the classes on what was held out, 0 to 1; NaN until it was looked at.
    """

    loss: float = math.nan
    iou: float = math.nan


@dataclass(frozen=True)
class TrainedRegions:
    """A model that is done.

    Attributes
    ----------
    model : TorchRegionSegmenter
    folder : Path
    iou : mapping of str to float
        By class, on a fifth of the painted areas that taught nothing; NaN where none was left.
    seconds : float
        Of training, over all calls.
    n_areas, n_images : int
        Painted areas that `iou` is from, and images that they lie on; other parts of these very
        images taught.
    """

    model: TorchRegionSegmenter
    folder: Path
    iou: dict[str, float]
    seconds: float
    n_areas: int
    n_images: int

    @property
    def mean_iou(self) -> float:
        """Over the classes that were judged."""
        return mean_known(self.iou.values())


def train_regions(
    examples: Sequence[RegionExample],
    folder: Path | str,
    params: RegionTraining | None = None,
    cancel: CancelToken | None = None,
    *,
    classes: ClassScheme | None = None,
    resume: bool = False,
) -> Generator[TrainingStep, None, TrainedRegions]:
    """Train a region model and write it to a folder.

    While it learns, what is needed to go on lies in ``<folder>.training``. The same examples,
    parameters and machine give the same model, stopped in between or not. Drive it in any thread
    but the window's.

    Parameters
    ----------
    examples : sequence of RegionExample
        Open readers with what was painted on them.
    folder : path
        Of the model; an existing one is replaced at the end, a folder that holds anything
        else is refused.
    params : RegionTraining, optional
    cancel : CancelToken, optional
        Looked at before each step.
    classes : ClassScheme, optional
        Classes to learn, without the background; by default all that were painted.
    resume : bool
        Go on with a training that was stopped.

    Raises
    ------
    ObjectsFileError
        Too few classes were painted, or nothing lies within the images.
    PixelSizeUnknownError, ImageError, ModelError, WriteError, Cancelled
    """
    params, cancel, folder = params or RegionTraining(), cancel or CancelToken(), Path(folder)
    check_writable(folder, folder=True, strangers=beside_model)
    run = _Run(examples, params, classes or classes_of(examples), cancel)
    with Checkpoint.open(folder, run.facts, resume=resume) as checkpoint:
        guide = None
        if params.guided:
            guide = yield from run.guide(checkpoint)
        model, seconds = yield from run.network(checkpoint, guide)
        iou = run.judge(model.net, run.judged)
        n_areas, n_images = judged_places(run.sheets, run.judged)
        about = {
            "training": {
                **run.facts,
                "images": [e.reader.info.name for e in examples],
                "held_out_iou": {k: None if math.isnan(v) else round(v, 4) for k, v in iou.items()},
                "held_out_areas": n_areas,
                "held_out_images": n_images,
                "seconds": round(seconds, 1),
            }
        }
        save_region_model(folder, model, about)
        checkpoint.remove()
    return TrainedRegions(model, folder, iou, seconds, n_areas, n_images)


class _Run:
    """One call of `train_regions`."""

    def __init__(
        self,
        examples: Sequence[RegionExample],
        params: RegionTraining,
        classes: ClassScheme,
        cancel: CancelToken,
    ) -> None:
        self.examples, self.params, self.classes, self.cancel = examples, params, classes, cancel
        self.device = pick_device(params.device)
        self.is_rgb = all(e.reader.info.is_rgb for e in examples)
        self.sheets: list[Sheet] = []
        self.judged: list[Sheet] = []

    @property
    def facts(self) -> dict[str, object]:
        """What a training that goes on must have in common with the one that was stopped."""
        settings = {f: getattr(self.params, f) for f in _FACTS}
        return {**settings, "classes": list(self.classes.names)}

    @property
    def total(self) -> int:
        """Steps of all networks."""
        return self.params.steps + (self.params.steps // 2 if self.params.guided else 0)

    def info(self, pixel_um: float) -> ModelInfo:
        names, n = ", ".join(self.classes.names), len(self.examples)
        return ModelInfo(
            self.params.name,
            REGION_FAMILY,
            pixel_um,
            channels="rgb" if self.is_rgb else "any",
            classes=self.classes,
            description=f"Tells {names} apart; trained on {n} image{'s' if n > 1 else ''}.",
        )

    def guide(self, checkpoint: Checkpoint) -> Generator[TrainingStep, None, TorchRegionSegmenter]:
        """The coarse network."""
        um = self.params.pixel_um * _COARSER
        info = self.info(um)
        sheets = self._sheets(info, None)
        # Half the side still shows twice as much around each pixel.
        job = _Job(
            "Learning to look from afar", self.params.steps // 2, 0, self.params.patch_px // 2
        )
        net, shape, _ = yield from self._fit(sheets, job, um, checkpoint)
        return TorchRegionSegmenter(net, shape, info, device=self.params.device)

    def network(
        self, checkpoint: Checkpoint, guide: TorchRegionSegmenter | None
    ) -> Generator[TrainingStep, None, tuple[TorchRegionSegmenter, float]]:
        """The fine network, and the seconds of all training."""
        info = self.info(self.params.pixel_um)
        sheets = self._sheets(info, guide)
        before = self.total - self.params.steps
        job = _Job("Learning", self.params.steps, before, self.params.patch_px)
        net, shape, seconds = yield from self._fit(sheets, job, self.params.pixel_um, checkpoint)
        model = TorchRegionSegmenter(net, shape, info, guide=guide, device=self.params.device)
        return model, seconds

    def judge(self, net: RegionNet, sheets: Sequence[Sheet]) -> dict[str, float]:
        """IoU of each class on the labels of sheets; NaN where there are none."""
        model = TorchRegionSegmenter(net, self._shape(sheets), self.info(1.0), device=self.device)
        return iou_on(model, sheets)

    def _sheets(self, info: ModelInfo, guide: RegionSegmenter | None) -> list[Sheet]:
        sheets = sheets_of(self.examples, info, guide, self.cancel)
        if not sheets:
            raise ObjectsFileError(
                "None of the painted areas lies on its image. Are the annotations those of these "
                "images, in full-resolution pixels?"
            )
        return chosen(sheets, np.random.default_rng(self.params.seed))

    def _shape(self, sheets: Sequence[Sheet]) -> NetShape:
        guided = bool(sheets) and sheets[0].guide is not None
        channels = self.examples[0].reader.info.n_channels
        return NetShape(channels, len(self.classes) + 1, guided, self.params.width)

    def _fit(
        self, sheets: Sequence[Sheet], job: _Job, pixel_um: float, checkpoint: Checkpoint
    ) -> Generator[TrainingStep, None, tuple[RegionNet, NetShape, float]]:
        params, shape = self.params, self._shape(sheets)
        self.sheets = list(sheets)
        taught, self.judged = held_out(sheets, _HELD_OUT, params.seed, pixel_um)
        source = PatchSource(taught, job.patch_px, is_rgb=self.is_rgb)
        state = new_state(shape, params.seed, self.device)
        checkpoint.load(job.message, state)
        iou = math.nan
        while state.step < job.steps:
            if self.cancel.is_cancelled:
                checkpoint.save(job.message, state)
                self.cancel.raise_if_cancelled()
            began = time.monotonic()
            rng = np.random.default_rng([params.seed, job.before, state.step])
            learn(state, source.draw(params.batch, rng), job.steps, self.device)
            if state.step % _JUDGE_EVERY == 0 or state.step == job.steps:
                iou = mean_known(self.judge(state.average, self.judged[:_JUDGED]).values())
            state.seconds += time.monotonic() - began
            checkpoint.save_now_and_then(job.message, state)
            done = job.before + state.step
            message = job.message if math.isnan(iou) else f"{job.message}: IoU {iou:.2f}"
            yield TrainingStep(done, self.total, message, loss=state.loss, iou=iou)
        checkpoint.save(job.message, state)
        return state.average.eval(), shape, state.seconds


@dataclass(frozen=True)
class _Job:
    """One of the networks to train: its name, steps, steps of others before, side of a patch."""

    message: str
    steps: int
    before: int
    patch_px: int


_FACTS = ("name", "pixel_um", "steps", "guided", "batch", "patch_px", "width", "seed")
