"""Which image, channels and colours the Segment panel works on."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_histo.core import SlideReader
from napari_histo.errors import HistoError
from napari_histo.plugin.geometry import hint_um
from napari_histo.plugin.image_stacks import Channels, ImageStack, image_stacks
from napari_histo.plugin.layers import STAINS_KEY
from napari_histo.plugin.parts import show_choices
from napari_histo.plugin.segment.form import SegmentForm
from napari_histo.plugin.segment.preview import ColourPreview
from napari_histo.session import ImageChoice, SegmentController
from napari_histo.session.jobs import Post

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["ImagePick"]

_FACTS = ("data", "scale", "affine", "units", "colormap")


class ImagePick:
    """Keeps the rows of image, channels and colours, the session and the layers in step.

    Only for the thread of the window.

    Parameters
    ----------
    viewer : ViewerModel
    form : SegmentForm
    session : SegmentController
    post : Post
        Brings answers of threads back.
    """

    def __init__(
        self, viewer: ViewerModel, form: SegmentForm, session: SegmentController, post: Post
    ) -> None:
        self._viewer, self._form, self._session = viewer, form, session
        self.preview = ColourPreview(viewer, post, session.fail, form.colours.show_busy)
        self._watched: Image | None = None
        #: What the user chose, by image and by whether the model takes two channels.
        self._chosen: dict[tuple[Hashable, bool], Channels] = {}
        form.image_box.currentIndexChanged.connect(self.choose)
        form.channels.changed.connect(self._choose_channels)
        form.colours.changed.connect(self._choose_colours)
        form.colours.previewed.connect(self._show_preview)

    @property
    def stack(self) -> ImageStack | None:
        """The chosen image with all its channels."""
        key = self._form.image_box.currentData()
        return next((s for s in image_stacks(self._viewer) if s.key == key), None)

    @property
    def layer(self) -> Image | None:
        """The layer of the chosen channel; results lie over it."""
        stack = self.stack
        return None if stack is None else stack.layers[self._channels(stack).first]

    def refresh(self) -> None:
        """Layers came, went, or have other names."""
        form = self._form
        items = [(stack.name, stack.key) for stack in image_stacks(self._viewer)]
        show_choices(form.image_box, items)
        if not self.preview.layers and not form.colours.is_busy:
            form.colours.preview_box.setChecked(False)
        self.choose()

    def choose(self) -> None:
        """Tell the session what to work on, as the rows and the sliders of the window stand."""
        stack = self.stack
        try:
            channels = Channels() if stack is None else self._channels(stack)
            self._form.channels.show_stack(stack, channels, is_cells=self._is_cells)
            self._form.cells.show_channels(() if stack is None else stack.channels, channels.first)
            choice = None if stack is None else self._choice(stack, channels)
        except HistoError as error:
            self._session.choose_image(None)
            self._session.fail(error)
            return
        self._watch(None if stack is None else stack.layers[channels.first])
        self._session.choose_image(choice)
        self._show_colours(stack)

    def _choice(self, stack: ImageStack, channels: Channels) -> ImageChoice:
        rows, layer = self._form.channels, stack.layers[channels.first]
        reader = stack.reader(channels, self._viewer.dims.point, all_planes=rows.all_planes)
        path = None if layer.source.path is None else Path(layer.source.path)
        first, second = (None, None) if channels.nuclei is None else (0, 1)
        cells = self._cells_reader(stack, channels)
        facts = (hint_um(layer), path, first, second, cells)
        return ImageChoice(layer.unique_id, reader, *facts)

    def _cells_reader(self, stack: ImageStack, channels: Channels) -> SlideReader | None:
        """What a second model sees, which finds cells; None where it sees what the first does."""
        cells = self._form.cells.choice
        if cells.model is None or cells.channel is None:
            return None
        nuclei = channels.first if channels.nuclei is None else channels.nuclei
        beside = nuclei if cells.model.takes_two_channels and nuclei != cells.channel else None
        seen, planes = Channels(cells.channel, beside), self._form.channels.all_planes
        return stack.reader(seen, self._viewer.dims.point, all_planes=planes)

    @property
    def _is_cells(self) -> bool:
        model = self._session.state.model
        return model is not None and model.takes_two_channels

    def _channels(self, stack: ImageStack) -> Channels:
        chosen = self._chosen.get((stack.key, self._is_cells))
        if chosen is None or max(chosen.first, chosen.nuclei or 0) >= len(stack.layers):
            chosen = stack.channels_for(self._session.state.model)
        return chosen

    def _choose_channels(self) -> None:
        stack = self.stack
        if stack is not None:
            self._chosen[stack.key, self._is_cells] = self._form.channels.channels
        self.choose()

    def _watch(self, layer: Image | None) -> None:
        """Listen to what changes the chosen layer's facts, and to no other layer any more."""
        # Not by `is`: napari hands plugins a new proxy of a layer each time.
        if _key(layer) == _key(self._watched):
            return
        for own, connect in ((self._watched, False), (layer, True)):
            if own is None:
                continue
            for name in _FACTS:
                event = getattr(own.events, name)
                (event.connect if connect else event.disconnect)(self.choose)
        self._watched = layer

    # -- colours ---------------------------------------------------------------------------------

    def _show_colours(self, stack: ImageStack | None) -> None:
        is_colour = None if stack is None else bool(stack.layers[0].rgb)
        vectors: Any = "" if stack is None else stack.layers[0].metadata.get(STAINS_KEY, "")
        model = self._session.state.model
        self._form.colours.show_for(model, is_colour=is_colour, vectors=str(vectors))
        self._choose_colours()

    def _choose_colours(self) -> None:
        self._session.choose_colours(self._form.colours.choice)
        self._show_preview(self._form.colours.wants_preview)

    def _show_preview(self, wanted: bool) -> None:
        image, state = self.layer, self._session.state
        if wanted and image is not None and state.image is not None and not state.colours.is_none:
            self.preview.show(image, state.image.reader, state.colours)
        else:
            self.preview.hide()


def _key(layer: Image | None) -> Hashable:
    return None if layer is None else layer.unique_id
