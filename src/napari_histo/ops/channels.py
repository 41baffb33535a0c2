"""Which channels of an image a model looks at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ModelInfo, SlideInfo
from napari_histo.errors import ImageError

__all__ = ["ChannelPick"]

_NUCLEAR = re.compile(r"dapi|hoechst|nucle|dna|draq|sytox|to-?pro|ha?ematoxylin", re.IGNORECASE)
#: Stains of whole cells or of their rims.
_CELL = re.compile(
    r"cyto|membran|actin|phalloidin|tubulin|\bwga\b|cell ?mask|cadherin|keratin|atpase",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ChannelPick:
    """A choice of channels.

    Attributes
    ----------
    index : int or None
        The one channel to take, of cells where there is a nuclear one beside it; None for all of
        an RGB image.
    to_gray : bool
        True to average RGB into one channel.
    nuclear : int or None
        The channel with nuclei, the second one for models of cells.
    """

    index: int | None
    to_gray: bool = False
    nuclear: int | None = None

    @classmethod
    def choose(
        cls,
        info: SlideInfo,
        model: ModelInfo,
        channel: int | None = None,
        nuclear: int | None = None,
    ) -> ChannelPick:
        """Fit an image to a model.

        Parameters
        ----------
        info, model
            What there is and what is wanted.
        channel : int, optional
            The user's choice for models of one channel; the channel with cells for models of two.
        nuclear : int, optional
            The user's choice of the channel with nuclei, for models of two. With `channel` alone
            there is none.

        Raises
        ------
        ImageError
            The model cannot work on this image, or the user has to choose.
        """
        _check(info, model, channel, nuclear)
        # Colour of 16 bits is not "RGB" to a viewer, but it is to a model.
        colour = info.is_rgb or info.channel_names == ("Red", "Green", "Blue")
        if colour and (channel is nuclear is None or model.channels == "rgb"):
            return cls(None, to_gray=model.channels in ("gray", "cells"))
        if model.channels == "rgb":
            raise ImageError(
                f"The model {model.name!r} works on RGB brightfield images (H&E), but "
                f"{_named(info)} has {info.n_channels} channel(s) of {info.dtype}. Use a "
                "fluorescence model, for example 'fluo-nuclei', or the model 'classical'."
            )
        if model.takes_two_channels and channel is None:
            cell, nuclear = _cells_and_nuclei(info, nuclear)
            return cls(cell, nuclear=nuclear)
        return cls(channel if channel is not None else _nuclear_channel(info), nuclear=nuclear)

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(h, w, c) pixels of the chosen channels."""
        if self.index is None:
            gray = self.to_gray
            return pixels.mean(axis=-1, keepdims=True, dtype=np.float32) if gray else pixels
        if self.nuclear is None:
            return pixels[..., self.index : self.index + 1]
        return np.stack([pixels[..., self.index], pixels[..., self.nuclear]], axis=-1)

    def words(self, info: SlideInfo) -> str:
        """What was chosen, for people; empty where there was nothing to choose."""
        if self.index is None or info.n_channels == 1:
            return ""
        if self.nuclear is None:
            return _word(info, self.index)
        return f"cells in {_word(info, self.index)}, nuclei in {_word(info, self.nuclear)}"


def _check(info: SlideInfo, model: ModelInfo, channel: int | None, nuclear: int | None) -> None:
    """Raise where what the user chose is not there, or not for this model."""
    for number in (channel, nuclear):
        if number is not None and not 0 <= number < info.n_channels:
            raise ImageError(f"{_named(info)} has no channel {number}. {_list_channels(info)}")
    if nuclear is None:
        return
    if not model.takes_two_channels:
        raise ImageError(
            f"The model {model.name!r} takes no nuclear channel beside the one that it looks at. "
            "Leave --nuclear-channel out (--channel N chooses its one channel), or choose a model "
            "of cells, as Cellpose's 'cyto3'."
        )
    if channel == nuclear:
        raise ImageError(
            f"Channel {channel} of {_named(info)} cannot show both cells and nuclei. Leave "
            "--nuclear-channel out where there is one channel for both."
        )


def _nuclear_channel(info: SlideInfo) -> int:
    if info.n_channels == 1:
        return 0
    nuclear = _matching(info, _NUCLEAR)
    if len(nuclear) == 1:
        return nuclear[0]
    raise ImageError(
        f"{_named(info)} has {info.n_channels} channels of {info.dtype} and it is not clear which "
        f"one shows nuclei. {_list_channels(info)}"
    )


def _cells_and_nuclei(info: SlideInfo, nuclear: int | None) -> tuple[int, int | None]:
    """The channel with cells and, where there is one, that with nuclei, by their names."""
    if info.n_channels == 1:
        return 0, None
    known = _matching(info, _NUCLEAR) if nuclear is None else [nuclear]
    if len(known) < 2:
        others = [i for i in range(info.n_channels) if i not in known]
        cells = [i for i in _matching(info, _CELL) if i in others]
        if known and len(others) == 1:
            cells = others
        if len(cells) == 1:
            return cells[0], known[0] if known else None
    raise ImageError(
        f"{_named(info)} has {info.n_channels} channels of {info.dtype} and it is not clear which "
        f"one shows cells. {_list_channels(info)} --nuclear-channel N adds the one with nuclei."
    )


def _matching(info: SlideInfo, pattern: re.Pattern[str]) -> list[int]:
    return [i for i, name in enumerate(info.channel_names) if pattern.search(name)]


def _list_channels(info: SlideInfo) -> str:
    names = ", ".join(_word(info, i) for i in range(info.n_channels))
    return f"Choose one by number (--channel N on the command line): {names}."


def _word(info: SlideInfo, channel: int) -> str:
    return f"{channel} = {info.channel_names[channel]}"


def _named(info: SlideInfo) -> str:
    return info.name or "This image"
