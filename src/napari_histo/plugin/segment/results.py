"""The layers that show results."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer

from napari_histo.plugin.heat_colours import HeatBy
from napari_histo.plugin.layers import add_objects, features_of, show_objects
from napari_histo.plugin.slide_view import SlideView
from napari_histo.plugin.threads import Mailbox
from napari_histo.session import Growing, Result
from napari_histo.session.jobs import Job, Lane

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

__all__ = ["ResultLayers"]

#: Features hold a line of text an object; while a slider moves nobody reads them.
_FEATURES_DELAY_MS = 250


class ResultLayers:
    """One labels layer a run, which follows the sliders. Only for the thread of the window.

    Parameters
    ----------
    viewer : ViewerModel
    mailbox : Mailbox
        Brings answers of threads back; its end is the end of this.
    outline_px : int
        Width of the outlines; 0 fills the objects.
    """

    def __init__(self, viewer: ViewerModel, mailbox: Mailbox, outline_px: int = 2) -> None:
        self._viewer = viewer
        self._outline_px = outline_px
        self._mailbox = mailbox
        self._shown: dict[int, tuple[Labels, Result]] = {}
        self._views: dict[int, SlideView] = {}
        self._features = Lane(mailbox.post, "features")
        self._later = QTimer(mailbox)
        self._later.setSingleShot(True)
        self._later.setInterval(_FEATURES_DELAY_MS)
        self._later.timeout.connect(self._renew_features)
        self._stale: Result | None = None

    def grow(self, growing: Growing, heat_by: HeatBy) -> SlideView | None:
        """Add a layer for a whole-slide run that begins; None where its image is gone."""
        image = self._image(growing.image_key)
        if image is None:
            return None
        for layer, older in self._shown.values():
            if older.image_key == growing.image_key:
                layer.visible = False
        view = SlideView(
            self._viewer,
            image,
            growing,
            self._mailbox,
            outline_px=self._outline_px,
            heat_by=heat_by,
        )
        self._views[growing.run] = view
        return view

    def remove(self, view: SlideView) -> None:
        """Take a picture away in which nothing appeared."""
        if view.layer in self._viewer.layers:
            self._viewer.layers.remove(view.layer)

    def show(self, result: Result) -> None:
        """Add a layer for a new run, or renew the one that its run has."""
        known, view = self._shown.get(result.run), self._views.get(result.run)
        if view is not None:
            layer = view.layer
            view.show_table(result.table)
        elif known is not None:
            layer = known[0]
            show_objects(layer, result.table)
        else:
            image = self._image(result.image_key)
            if image is None:  # the image was removed while the model ran
                return
            self._hide_covered(result)
            layer = add_objects(
                self._viewer,
                result.table,
                image,
                name=f"{result.info.name} · {result.model.name}",
                outline_px=self._outline_px,
            )
        self._shown[result.run] = (layer, result)
        self._stale = result
        self._later.start()

    def run_of(self, layer: Layer) -> int | None:
        """Run that a layer shows; None for layers that are not ours."""
        # Not by `is`: napari hands plugins a new proxy of a layer each time.
        key = layer.unique_id
        own = {run: view.layer for run, view in self._views.items()}
        own |= {run: shown for run, (shown, _) in self._shown.items()}
        return next((run for run, shown in own.items() if shown.unique_id == key), None)

    def forget(self, run: int) -> None:
        """The layer of a run is gone."""
        self._shown.pop(run, None)
        view = self._views.pop(run, None)
        if view is not None:
            view.close()
        if self._stale is not None and self._stale.run == run:
            self._stale = None

    def _image(self, key: Hashable) -> Image | None:
        matching = (x for x in self._viewer.layers if x.unique_id == key)
        return next(matching, None)

    def _hide_covered(self, result: Result) -> None:
        """Older results that the new one covers would only draw every outline twice."""
        for layer, older in self._shown.values():
            if older.image_key == result.image_key and result.region.covers(older.region):
                layer.visible = False

    def _renew_features(self) -> None:
        stale, self._stale = self._stale, None
        if stale is None or stale.run not in self._shown:
            return
        layer, _ = self._shown[stale.run]
        view = self._views.get(stale.run)
        if view is not None and not view.growing.is_whole:
            return  # rows have no place yet

        def features(_: object) -> pd.DataFrame:
            found = features_of(stale.table, stale.info.pixel_size)
            return found if view is None else found.assign(index=view.values_of(stale.table))

        self._features.submit(Job(features, partial(setattr, layer, "features")))
