"""Running a model on an image, and choosing anew from what it found."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from napari_histo.core import CancelToken, ModelInfo, Progress, Segmenter, Thresholds
from napari_histo.errors import Cancelled, HistoError
from napari_histo.pipeline import SegmentRequest
from napari_histo.pipeline.colour_choice import ColourChoice
from napari_histo.session.jobs import Job, Lane, Post, Report
from napari_histo.session.segment.candidates import Result
from napari_histo.session.segment.cells import CellsChoice
from napari_histo.session.segment.growing import Part
from napari_histo.session.segment.order import Order
from napari_histo.session.segment.pace import Clock
from napari_histo.session.segment.region import Region
from napari_histo.session.segment.run_place import Found
from napari_histo.session.segment.slide_order import Begun, Outcome, SlideOrder
from napari_histo.session.segment.state import (
    ImageChoice,
    Phase,
    Saved,
    Scope,
    SegmentState,
    needs_folder,
)
from napari_histo.session.segment.tools import Tools, in_short

__all__ = ["SegmentController", "Tools"]

_log = logging.getLogger(__name__)
#: Proposals are kept down to this share of the threshold, so that the slider has somewhere to go.
#: Their number grows fast below: StarDist has 4,000 in 1024 x 1024 px of dense H&E above its own
#: threshold of 0.6, 22,000 above 0.36, 70,000 above 0.1.
_KEPT_BELOW = 0.6
#: Model px. A tile takes about a second on a processor: so long may Cancel and the bar lag.
_TILE_PX = 1024


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
        self._clock = Clock()
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
            self.state.diameter_um = None
            self._reset_thresholds()

    def choose_device(self, device: str) -> None:
        """Run the network elsewhere from now on."""
        self.state.device = device

    def choose_scope(self, scope: Scope) -> None:
        """Take another part of the image."""
        self.state.scope = scope

    def choose_tissue_only(self, wanted: bool) -> None:
        """Whether whole-slide runs leave the glass out."""
        self.state.tissue_only = wanted

    def choose_colours(self, colours: ColourChoice) -> None:
        """What is done to the image's colours from the next run on."""
        self.state.colours = colours

    def choose_cells(self, cells: CellsChoice) -> None:
        """Whether the nuclei of the next run become cells, and how."""
        self.state.cells = cells

    def type_pixel_size(self, um: float | None) -> None:
        """The user's word on the pixel size, µm; None takes it back."""
        image = self.state.image
        if image is None:
            return
        self._typed.pop(image.key, None)
        if um is not None:
            self._typed[image.key] = um
        self.state.typed_um = um

    def type_diameter(self, um: float | None) -> None:
        """Size of the objects to find, µm, for models that are scaled to it; None takes it back."""
        model = self.state.model
        if model is not None and model.takes_diameter:
            self.state.diameter_um = um

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
                channel=state.image.channel,
                nuclear_channel=state.image.nuclear_channel,
            ),
            state.colours,
            state.diameter_um,
            state.cells,
        )
        state.notice = state.error = ""
        state.progress = Progress(0, 0, "Loading the model")
        state.phase = Phase.RUNNING
        if needs_folder(sum(box.area for box in region.boxes)):
            self._run_slide(order)
            return
        work = partial(self._work, order, self._cancel)
        self._runs.submit(Job(work, self._on_found, self._on_failed, self._on_progress))

    def _run_slide(self, order: Order) -> None:
        self._clock = Clock()
        slide = SlideOrder(order, self.state.tissue_only, self._tools.data_folder)
        work = partial(self._work_on_slide, slide, self._cancel)
        self._runs.submit(Job(work, self._on_outcome, self._on_slide_failed, self._on_report))

    def cancel(self) -> None:
        """Stop the run at its next tile; what stood on the screen before stays."""
        if self.state.phase is Phase.RUNNING:
            self._cancel.cancel()
            self.state.phase = Phase.CANCELLING

    def _work(self, order: Order, cancel: CancelToken, report: Report) -> Result:
        """In the thread of the run."""
        model = order.scaled(self._model(order))
        if order.cells.model is not None:
            finder = self._model(replace(order, model=order.cells.model))
            order = replace(order, finder=finder)
        return order.carry_out(model, self._tools.segment, cancel, report)

    def _work_on_slide(self, slide: SlideOrder, cancel: CancelToken, report: Report) -> Outcome:
        """In the thread of the run."""
        model = slide.order.scaled(self._model(slide.order))
        return slide.carry_out(model, cancel, report, self._tools.segment_slide)

    def _model(self, order: Order) -> Segmenter:
        key = (order.model.name, order.device)
        if key not in self._models:
            # Two stay: one that finds nuclei, and one that finds their cells.
            kept = list(self._models.items())[-1:]
            self._models = {**dict(kept), key: self._tools.load_model(*key)}
        return self._models[key]

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
        self.state.pace = None

    def _show(self, result: Result) -> None:
        self.state.saved = None
        self.state.result = result

    # -- whole slides ----------------------------------------------------------------------------

    def _on_report(self, report: Progress | Begun | Part) -> None:
        """News of a run that is under way."""
        state = self.state
        if isinstance(report, Begun):
            self._begin(report)
        elif isinstance(report, Part):
            assert state.growing is not None
            state.growing.put(report)
        else:
            pace = self._clock.note(report)
            self._on_progress(report)
            if state.phase is Phase.RUNNING:
                state.pace = pace

    def _begin(self, begun: Begun) -> None:
        growing, place = self.state.growing, begun.place
        # The same run goes on in the same picture.
        awaited = Found.UNFINISHED if growing is None or not growing.is_whole else Found.FINISHED
        if growing is None or not growing.is_like(begun.growing) or place.found is not awaited:
            self.state.growing = begun.growing
        where = f"Kept beside the image, in {place.folder.name}"
        if place.is_away:
            where = f"Kept in {place.folder}, for there is no room beside the image"
        went_on = {
            Found.UNFINISHED: "Going on with the run that was stopped. ",
            Found.FINISHED: "This was run before with the same settings. ",
        }
        self.state.notice = f"{went_on.get(place.found, '')}{where}."

    def _on_outcome(self, outcome: Outcome) -> None:
        growing = self.state.growing
        assert growing is not None
        self._rest()
        if outcome.whole is not None:
            growing.finish(outcome.whole)
        self._show(replace(outcome.result, run=growing.run))
        if outcome.stopped is not None:
            self._say_stopped(outcome.stopped)
        elif not outcome.has_tissue:
            self.state.notice = (
                "No tissue was found. Switch 'Tissue only' off, or draw shapes around it."
            )
        elif outcome.notes:
            self.state.notice = " ".join((self.state.notice, *outcome.notes))

    def _on_slide_failed(self, why: BaseException) -> None:
        """Stopped before there was anything to show."""
        growing = self.state.growing
        self._on_failed(why)
        if growing is None or growing.n_parts:
            return
        if isinstance(why, Cancelled) and growing.folder.exists():
            self._say_stopped(why)
        self.state.growing = None

    def _say_stopped(self, why: BaseException) -> None:
        growing = self.state.growing
        assert growing is not None
        self.state.notice = (
            f"Stopped. What is done is kept in {growing.folder.name}; press Run to go on."
        )
        if not isinstance(why, Cancelled):
            self.fail(why)

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
        if self.state.phase is Phase.IDLE:
            self.state.growing = None

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
        self.state.error = in_short(error)

    def close(self) -> None:
        """Stop everything; no answer arrives after this."""
        self._cancel.cancel()
        for lane in (self._runs, self._choices, self._saves, self._looks):
            lane.drop()
