"""Running a model on an image, and choosing anew from what it found."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from napari_histo.core import CancelToken, ModelInfo, Progress, Segmenter, Thresholds
from napari_histo.errors import Cancelled, HistoError
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.session.candidates import Result
from napari_histo.session.jobs import Job, Lane, Post, Report
from napari_histo.session.order import Order, SegmentFunction
from napari_histo.session.region import Region
from napari_histo.session.state import ImageChoice, Phase, Saved, Scope, SegmentState

__all__ = ["SegmentController"]

_log = logging.getLogger(__name__)
#: Proposals are kept down to this share of the threshold, so that the slider has somewhere to go.
#: Their number grows fast below: StarDist has 4,000 in 1024 x 1024 px of dense H&E above its own
#: threshold of 0.6, 22,000 above 0.36, 70,000 above 0.1.
_KEPT_BELOW = 0.6
#: Model px. A tile takes about a second on a processor: so long may Cancel and the bar lag.
_TILE_PX = 1024


def _load(name: str, device: str) -> Segmenter:
    from napari_histo.models import load_model

    return load_model(name, device=device)


def _devices() -> tuple[str, ...]:
    from napari_histo.models import devices

    return tuple(devices())


def _save(result: Result, path: Path) -> None:
    from napari_histo.store import save_objects

    save_objects(path, result.table, info=result.info)


@dataclass(frozen=True)
class Tools:
    """What a session works with; tests put fakes here. All run in threads."""

    load_model: Callable[[str, str], Segmenter] = _load
    find_devices: Callable[[], tuple[str, ...]] = _devices
    segment: SegmentFunction = segment
    save: Callable[[Result, Path], None] = _save


class SegmentController:
    """Turns what the user does into changes of `state`.

    All methods belong to the thread that `post` serves, and return at once.

    Parameters
    ----------
    post : Post
        Brings answers of threads back.
    tools : Tools, optional
    """

    def __init__(self, post: Post, tools: Tools | None = None) -> None:
        self.state = SegmentState()
        self._tools = tools or Tools()
        self._runs = Lane(post, "segment")
        self._choices = Lane(post, "choose")
        self._saves = Lane(post, "save")
        self._looks = Lane(post, "devices")
        self._cancel = CancelToken()
        self._n_runs = 0
        self._typed: dict[Any, float] = {}
        self._models: dict[tuple[str, str], Segmenter] = {}

    # -- what to do ------------------------------------------------------------------------------

    def find_devices(self) -> None:
        """Look which devices there are: asking takes seconds, for it loads torch."""
        self._looks.submit(
            Job(lambda _: self._tools.find_devices(), partial(setattr, self.state, "devices"))
        )

    def choose_image(self, image: ImageChoice | None) -> None:
        """Work on another image; what was typed for it before comes back."""
        before = self.state.image
        self.state.image = image
        self.state.typed_um = None if image is None else self._typed.get(image.key)
        if image is not None and (before is None or before.key != image.key):
            self._reset_thresholds()

    def choose_model(self, model: ModelInfo | None) -> None:
        """Work with another model, at its own thresholds."""
        before, self.state.model = self.state.model, model
        if model != before:
            self._reset_thresholds()

    def choose_device(self, device: str) -> None:
        """Run the network elsewhere from now on."""
        self.state.device = device

    def choose_scope(self, scope: Scope) -> None:
        """Take another part of the image."""
        self.state.scope = scope

    def type_pixel_size(self, um: float | None) -> None:
        """The user's word on the pixel size, µm; None takes it back."""
        image = self.state.image
        if image is None:
            return
        self._typed.pop(image.key, None)
        if um is not None:
            self._typed[image.key] = um
        self.state.typed_um = um

    def _reset_thresholds(self) -> None:
        state = self.state
        if state.is_live and state.result is not None:
            state.thresholds = state.result.thresholds
        elif state.model is not None:
            state.thresholds = state.model.thresholds

    # -- running ---------------------------------------------------------------------------------

    def run(self, region: Region) -> None:
        """Segment `region` of the image; does nothing but say why where that is impossible."""
        state = self.state
        if state.blocker or state.image is None or state.model is None:
            self.fail(HistoError(state.blocker))
            return
        self._choices.drop()
        self._cancel = CancelToken()
        self._n_runs += 1
        order = Order(
            self._n_runs,
            state.image,
            state.model,
            state.device,
            region,
            SegmentRequest(
                pixel_size=state.pixel_size,
                thresholds=state.thresholds,
                min_prob=round(_KEPT_BELOW * state.thresholds.prob, 2),
                tile_px=_TILE_PX,
            ),
        )
        state.notice = state.error = ""
        state.progress = Progress(0, 0, "Loading the model")
        state.phase = Phase.RUNNING
        work = partial(self._work, order, self._cancel)
        self._runs.submit(Job(work, self._on_found, self._on_failed, self._on_progress))

    def cancel(self) -> None:
        """Stop the run at its next tile; what stood on the screen before stays."""
        if self.state.phase is Phase.RUNNING:
            self._cancel.cancel()
            self.state.phase = Phase.CANCELLING

    def _work(self, order: Order, cancel: CancelToken, report: Report) -> Result:
        """In the thread of the run."""
        key = (order.model.name, order.device)
        if key not in self._models:
            self._models = {key: self._tools.load_model(*key)}
        return order.carry_out(self._models[key], self._tools.segment, cancel, report)

    def _on_progress(self, progress: Progress) -> None:
        if self.state.phase is Phase.RUNNING:
            self.state.progress = progress

    def _on_found(self, result: Result) -> None:
        self._rest()
        self._show(result)
        if not len(result.table):
            self.state.notice = (
                "No objects were found. Lower the probability, or check the pixel size and model."
            )
        elif self.state.is_live and result.thresholds != self.state.thresholds:
            self.set_thresholds(self.state.thresholds)

    def _on_failed(self, error: BaseException) -> None:
        self._rest()
        if isinstance(error, Cancelled):
            self.state.notice = "Cancelled. Nothing was changed."
        else:
            self.fail(error)

    def _rest(self) -> None:
        self.state.phase = Phase.IDLE
        self.state.progress = None

    def _show(self, result: Result) -> None:
        self.state.saved = None
        self.state.result = result

    # -- afterwards ------------------------------------------------------------------------------

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Choose anew from the result while it is live; else for the next run."""
        self.state.thresholds = thresholds
        if self.state.is_live and self.state.phase is Phase.IDLE:
            result = self.state.result
            assert result is not None
            self._choices.submit(Job(lambda _: result.at(thresholds), self._show, self.fail))

    def forget(self) -> None:
        """Let go of the result, whose picture the user removed."""
        self._choices.drop()
        self.state.saved = None
        self.state.result = None

    def save(self, path: Path) -> None:
        """Write the result to a file; the suffix names the format."""
        result = self.state.result
        if result is None:
            self.fail(HistoError("There is nothing to save yet. Run the model first."))
            return
        self.state.error = ""
        job = Job(
            lambda _: self._tools.save(result, path),
            lambda _: self._on_saved(result, path),
            self.fail,
        )
        self._saves.submit(job)

    def _on_saved(self, result: Result, path: Path) -> None:
        # The sliders may have moved meanwhile: then the file no longer holds what is shown.
        if result is self.state.result:
            self.state.saved = Saved(path, datetime.now())

    def fail(self, error: BaseException) -> None:
        """Tell the user: as it is for errors made for people, in short for all others."""
        if isinstance(error, HistoError):
            self.state.error = str(error)
            return
        _log.error("Unexpected error in the Segment panel", exc_info=error)
        self.state.error = _in_short(error)

    def close(self) -> None:
        """Stop everything; no answer arrives after this."""
        self._cancel.cancel()
        for lane in (self._runs, self._choices, self._saves, self._looks):
            lane.drop()


def _in_short(error: BaseException) -> str:
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return (
            "There is not enough memory. Choose a smaller region, close other programs, "
            "or choose the device 'cpu'."
        )
    return (
        f"Something unexpected happened ({type(error).__name__}: {error}). "
        "The log has the details; please report it."
    )
