"""Image layers that are channels of one image, and what a model is shown of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_histo.core import ModelInfo, SlideReader
from napari_histo.errors import ImageError
from napari_histo.ops.channels import ChannelPick
from napari_histo.plugin.geometry import plane_shape, to_world
from napari_histo.plugin.layers import image_layers, reader_of
from napari_histo.slides import JoinedChannels

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["Channels", "ImageStack", "image_stacks"]


@dataclass(frozen=True)
class Channels:
    """Which channels of a stack a model is shown, by number.

    Attributes
    ----------
    first : int
        The only one, or that with cells.
    nuclei : int or None
        The second one of models of cells.
    """

    first: int = 0
    nuclei: int | None = None


@dataclass(frozen=True, eq=False)
class ImageStack:
    """An image as the user thinks of it: one layer, or one layer a channel.

    Attributes
    ----------
    layers : tuple of Image
        In the order of the channels; at least one.
    name : str
    channels : tuple of str
        Names of the channels; of a single layer its own.
    """

    layers: tuple[Image, ...]
    name: str
    channels: tuple[str, ...]

    @classmethod
    def of(cls, layers: Sequence[Image]) -> ImageStack:
        """Name the channels by what the layers' names do not share."""
        names = [layer.name for layer in layers]
        if len(names) == 1:
            return cls(tuple(layers), names[0], (names[0],))
        shared = _shared_start(names, layers[0].source.path)
        name = shared.strip(" :·-_") or ", ".join(names)
        return cls(tuple(layers), name, tuple(n[len(shared) :] for n in names))

    @property
    def key(self) -> Hashable:
        """Tells images apart as long as their first channel is there."""
        key: Hashable = self.layers[0].unique_id
        return key

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """Red, green and blue in which each channel is shown, 0 to 255."""
        tops = (np.asarray(layer.colormap.colors)[-1, :3] for layer in self.layers)
        return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in tops)

    @property
    def n_planes(self) -> int:
        """Planes in front of one another, of which a slider shows one."""
        first = self.layers[0]
        data = first.data[0] if first.multiscale else first.data
        return int(data.shape[-3]) if first.ndim > 2 and not first.rgb else 1

    @property
    def nuclear_first(self) -> tuple[Image, ...]:
        """The layers, with the one that most likely shows nuclei in front."""
        try:
            first = self.channels_for(ModelInfo("", "", channels="gray")).first
        except ImageError:
            return self.layers
        return self.layers[first], *self.layers[:first], *self.layers[first + 1 :]

    def channels_for(self, model: ModelInfo | None) -> Channels:
        """What a model most likely wants, by the channels' names; the first where they say nothing.

        Raises
        ------
        ImageError
            A layer's numbers cannot be read.
        """
        if model is None or len(self.layers) == 1:
            return Channels()
        whole = JoinedChannels([reader_of(x) for x in self.layers], self.channels, self.name)
        try:
            pick = ChannelPick.choose(whole.info, model)
        except ImageError:
            return Channels()
        return Channels(pick.index or 0, pick.nuclear)

    def reader(
        self, channels: Channels, point: Sequence[float] | None, *, all_planes: bool = False
    ) -> SlideReader:
        """The chosen channels, and no others: each may cost a whole slide to read.

        Raises
        ------
        ImageError
            A layer's numbers cannot be read.
        """
        numbers = [channels.first] + ([] if channels.nuclei is None else [channels.nuclei])
        readers = [reader_of(self.layers[i], point, all_planes=all_planes) for i in numbers]
        if len(readers) == 1:
            return readers[0]
        return JoinedChannels(readers, [self.channels[i] for i in numbers], self.name)


def image_stacks(viewer: ViewerModel) -> list[ImageStack]:
    """All images of a window, the newest first; its previews are none."""
    groups: list[list[Image]] = []
    for layer in image_layers(viewer):
        own = next((g for g in groups if _belongs(layer, g[-1], is_next=g is groups[-1])), None)
        if own is None:
            groups.append([layer])
        else:
            own.append(layer)
    return [ImageStack.of(layers) for layers in reversed(groups)]


def _belongs(layer: Image, before: Image, *, is_next: bool) -> bool:
    """True for channels of one image: in one place, and of one file or added with one call."""
    if layer.rgb or before.rgb or _facts(layer) != _facts(before):
        return False
    path = layer.source.path
    if path is not None or before.source.path is not None:
        return bool(path == before.source.path)
    # napari blends all channels but the first so.
    return is_next and layer.blending == "additive"


def _facts(layer: Image) -> Hashable:
    placed = tuple(np.round(to_world(layer).ravel(), 9))
    return layer.ndim, plane_shape(layer), layer.multiscale, str(layer.dtype), placed


def _shared_start(names: Sequence[str], path: str | None) -> str:
    """What all names begin with: the file's name, or whole words that leave no bare numbers."""
    stem = "" if path is None else Path(path).stem.removesuffix(".ome") + " "
    if stem.strip() and all(n.startswith(stem) and n != stem for n in names):
        return stem
    words = [name.split(" ") for name in names]
    n = 0
    while all(len(w) > n + 1 for w in words) and len({w[n] for w in words}) == 1:
        n += 1
    if n and any(w[n:] and w[n].isdecimal() for w in words):
        n -= 1
    return " ".join([*words[0][:n], ""])
