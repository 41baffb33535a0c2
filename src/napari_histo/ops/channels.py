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

_NUCLEAR = re.compile(r"dapi|hoechst|nucle|dna|draq|sytox|to-?pro", re.IGNORECASE)


@dataclass(frozen=True)
class ChannelPick:
    """A choice of channels.

    Attributes
    ----------
    index : int or None
        The one channel to take; None for all of an RGB image.
    to_gray : bool
        True to average RGB into one channel.
    """

    index: int | None
    to_gray: bool = False

    @classmethod
    def choose(cls, info: SlideInfo, model: ModelInfo, channel: int | None = None) -> ChannelPick:
        """Fit an image to a model.

        Parameters
        ----------
        info, model
            What there is and what is wanted.
        channel : int, optional
            The user's choice for models of one channel.

        Raises
        ------
        ImageError
            The model cannot work on this image, or the user has to choose.
        """
        if channel is not None and not 0 <= channel < info.n_channels:
            raise ImageError(f"{_named(info)} has no channel {channel}. {_list_channels(info)}")
        # Colour of 16 bits is not "RGB" to a viewer, but it is to a model.
        colour = info.is_rgb or info.channel_names == ("Red", "Green", "Blue")
        if colour and (channel is None or model.channels == "rgb"):
            return cls(None, to_gray=model.channels == "gray")
        if model.channels == "rgb":
            raise ImageError(
                f"The model {model.name!r} works on RGB brightfield images (H&E), but "
                f"{_named(info)} has {info.n_channels} channel(s) of {info.dtype}. Use a "
                "fluorescence model, for example 'fluo-nuclei', or the model 'classical'."
            )
        return cls(channel if channel is not None else _nuclear_channel(info))

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(h, w, c) pixels of the chosen channels."""
        if self.index is not None:
            return pixels[..., self.index : self.index + 1]
        if self.to_gray:
            gray: NDArray[Any] = pixels.mean(axis=-1, keepdims=True, dtype=np.float32)
            return gray
        return pixels


def _nuclear_channel(info: SlideInfo) -> int:
    if info.n_channels == 1:
        return 0
    nuclear = [i for i, name in enumerate(info.channel_names) if _NUCLEAR.search(name)]
    if len(nuclear) == 1:
        return nuclear[0]
    raise ImageError(
        f"{_named(info)} has {info.n_channels} channels of {info.dtype} and it is not clear which "
        f"one shows nuclei. {_list_channels(info)}"
    )


def _list_channels(info: SlideInfo) -> str:
    names = ", ".join(f"{i} = {name}" for i, name in enumerate(info.channel_names))
    return f"Choose one by number (--channel N on the command line): {names}."


def _named(info: SlideInfo) -> str:
    return info.name or "This image"
