"""A layer that shows an image as a model would see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, SlideReader, SlideView
from napari_histo.pipeline.colour_choice import ColourChoice, Colours
from napari_histo.plugin.geometry import placement_of
from napari_histo.plugin.layers import PREVIEW_KEY
from napari_histo.plugin.lazy import image_levels
from napari_histo.session.jobs import Job, Lane, Post
from napari_histo.slides import ArrayReader

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["ColourPreview"]

#: Values of a colour that the table tells apart.
_STEPS = 64
_TOP_OD = 1.0


class ColourPreview:
    """One layer at most, which follows the choice. Only for the thread of the window.

    Parameters
    ----------
    viewer : ViewerModel
    post : Post
        Brings answers of threads back.
    fail : callable
        Is told what went wrong.
    tell_busy : callable
        Is told whether the slide is being looked at, which takes seconds.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        post: Post,
        fail: Callable[[BaseException], None],
        tell_busy: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._viewer, self._fail, self._tell_busy = viewer, fail, tell_busy
        self._lane = Lane(post, "preview")
        self._shown: tuple[Any, ColourChoice] | None = None

    @property
    def layers(self) -> list[Image]:
        """The layer, where there is one; two while one takes the other's place."""
        return [x for x in self._viewer.layers if PREVIEW_KEY in x.metadata]

    def show(self, image: Image, reader: SlideReader, choice: ColourChoice) -> None:
        """Show `image` in other colours; it takes a moment to look at the slide."""
        if self._shown == (image.unique_id, choice) and (self.layers or self._lane.is_busy):
            return
        self._tell_busy(True)
        self._shown = (image.unique_id, choice)
        work = partial(_quick_view, reader, choice)
        self._lane.submit(Job(lambda _: work(), partial(self._put, image), self._failed))

    def hide(self) -> None:
        """Take the layer away."""
        self._lane.drop()
        self._shown = None
        self._tell_busy(False)
        for layer in self.layers:
            self._viewer.layers.remove(layer)

    def close(self) -> None:
        """No layer comes after this."""
        self._lane.drop()

    def _failed(self, error: BaseException) -> None:
        self.hide()
        self._fail(error)

    def _put(self, image: Image, view: SlideReader | None) -> None:
        self._tell_busy(False)
        before = self.layers
        keys = [layer.unique_id for layer in self._viewer.layers]
        if view is None or image.unique_id not in keys:
            return
        levels: list[Any] = list(image_levels(view))
        options: dict[str, Any] = {"rgb": True}
        if not view.info.is_rgb:
            levels = [level[..., 0] for level in levels]
            options = {"colormap": "gray", "contrast_limits": (0.0, _TOP_OD)}
        many = len(levels) > 1
        name = f"{image.name} · as the model sees it"
        layer = self._viewer.add_image(
            levels if many else levels[0],
            name=name,
            multiscale=many,
            metadata={PREVIEW_KEY: True},
            **options,
            **placement_of(image),
        )
        # Over its image, below what was found on it.
        self._viewer.layers.move(len(keys), keys.index(image.unique_id) + 1)
        # Only now: without any the panel would take it that the user removed it.
        for older in before:
            self._viewer.layers.remove(older)
        layer.name = name  # napari numbers names that are taken


def _quick_view(reader: SlideReader, choice: ColourChoice) -> SlideReader | None:
    """For a thread; None where the choice changes nothing."""
    colours = choice.fit(reader)
    return None if colours is None else _QuickView(reader, colours)


class _QuickView(SlideView):
    """The view of `Colours`, looked up in a table: 99 of 100 pixels are right to 6 grey levels.

    The window reads it while the user pans, so it must not compute colours.
    """

    def __init__(self, reader: SlideReader, colours: Colours) -> None:
        step = 256 // _STEPS
        values = np.arange(_STEPS, dtype=np.uint8) * step + step // 2
        cube = np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1)
        painted = ArrayReader(cube.reshape(_STEPS, -1, 3), is_rgb=True)
        shown = colours.view(painted)
        facts = {k: getattr(shown.info, k) for k in ("channel_names", "dtype", "is_rgb")}
        super().__init__(reader, replace(reader.info, **facts))
        self._table = shown.read(shown.info.box).reshape(_STEPS**3, -1)
        self._step = step

    def read(self, box: Box, level: int = 0) -> NDArray[Any]:
        """Pixels of `box`, about; see `SlideReader`."""
        rgb = super().read(box, level).astype(np.int32) // self._step
        pixels: NDArray[Any] = self._table[
            (rgb[..., 0] * _STEPS + rgb[..., 1]) * _STEPS + rgb[..., 2]
        ]
        return pixels
