"""What the user wants of a slide's colours before a model looks, fitted to one slide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from napari_histo.core import SlideReader
from napari_histo.errors import ImageError, StainError
from napari_histo.ops.stain_transfer import TRAINED_ON, MacenkoNormalizer, ReinhardNormalizer
from napari_histo.ops.stain_vectors import H_DAB, HE, StainVectors
from napari_histo.pipeline.colours import (
    InvertedReader,
    NormalizedReader,
    StainReader,
    is_brightfield,
    normalizer_of,
    stains_of,
)

__all__ = ["ColourChoice", "Colours", "Normalization", "stain_vectors"]

Normalization = Literal["none", "reinhard", "macenko"]


@dataclass(frozen=True)
class Colours:
    """How a slide's colours are changed; fitted once, so that every tile is changed alike.

    Small and hashable: it goes to other processes with a request.

    Attributes
    ----------
    normalizer : MacenkoNormalizer, ReinhardNormalizer or None
        What is done first.
    stains : StainVectors or None
        Then the stains are separated, and are the channels.
    inverted : bool
        Dark is made bright, in place of both.
    """

    normalizer: MacenkoNormalizer | ReinhardNormalizer | None = None
    stains: StainVectors | None = None
    inverted: bool = False

    def view(self, reader: SlideReader) -> SlideReader:
        """The slide as a model is to see it."""
        if self.inverted:
            return InvertedReader(reader)
        if self.normalizer is not None:
            reader = NormalizedReader(reader, self.normalizer)
        return reader if self.stains is None else StainReader(reader, self.stains)

    def describe(self) -> dict[str, Any]:
        """For a run's facts: where these are the same, so are the pixels."""
        stains = None if self.stains is None else self.stains.describe()
        words: dict[str, Any] = {"normalization": repr(self.normalizer or "none"), "stains": stains}
        return words | ({"inverted": True} if self.inverted else {})


@dataclass(frozen=True)
class ColourChoice:
    """What is wanted; the same words for every slide.

    Attributes
    ----------
    normalize : {"none", "reinhard", "macenko"}
    stains : str
        Empty for the colours; "default" for haematoxylin where the image is brightfield in
        colours, else as it is; else see `stain_vectors`.
    reference : Path or None
        Slide whose colours are taken; None for those of the H&E models' training images.
    invert : bool
        Make dark bright, for dark nuclei on a light ground in grey images. Goes with nothing else.
    """

    normalize: Normalization = "none"
    stains: str = ""
    reference: Path | None = None
    invert: bool = False

    def __post_init__(self) -> None:
        if self.invert and (self.normalize != "none" or self.stains not in ("", "default")):
            raise StainError(
                "Inverting is for grey images, which have no colours to normalise and no stains to "
                "separate. Leave out the one or the other."
            )
        if self.normalize not in get_args(Normalization):
            known = ", ".join(get_args(Normalization))
            raise StainError(f"There is no normalisation {self.normalize!r}; choose from: {known}.")

    @property
    def is_none(self) -> bool:
        """True where the colours stay as they are."""
        return self.normalize == "none" and not self.stains and not self.invert

    def fit(self, reader: SlideReader) -> Colours | None:
        """For one slide; looks at much of it, so call it in a thread. None for colours as they are.

        Raises
        ------
        ImageError
            The slide has no colours; or it has, and was to be inverted.
        StainError
            Its stains cannot be told, or the words for them.
        """
        if self.is_none:
            return None
        if self.invert:
            _check_grey(reader)
            return Colours(inverted=True)
        normalizer: Any = None
        if self.normalize != "none":
            normalizer = self._normalizer(reader)
            reader = NormalizedReader(reader, normalizer)
        if self.stains == "default":
            stains = HE if is_brightfield(reader) else None
        else:
            stains = stain_vectors(self.stains, reader) if self.stains else None
        return None if normalizer is stains is None else Colours(normalizer, stains)

    def _normalizer(self, reader: SlideReader) -> Any:
        from napari_histo.slides import open_slide

        if self.reference is None:
            return normalizer_of(reader, self.normalize, TRAINED_ON)
        with open_slide(self.reference) as wanted:
            return normalizer_of(reader, self.normalize, wanted)


def _check_grey(reader: SlideReader) -> None:
    if is_brightfield(reader):
        raise ImageError(
            f"{reader.info.name or 'This image'} shows stains in colours; inverting is for grey "
            "images. Leave --invert out: one stain (--stain) is bright where it is dense."
        )


def stain_vectors(text: str, reader: SlideReader) -> StainVectors:
    """The user's word on stains.

    Parameters
    ----------
    text : str
        ``he``, ``hdab`` (QuPath's defaults), ``auto``, ``auto-hdab`` (estimated from the slide),
        what QuPath's ``setColorDeconvolutionStains`` takes, or a file that holds it.
    reader : SlideReader

    Raises
    ------
    ImageError
        The slide has no colours.
    StainError
    """
    word = text.strip().lower()
    if word in ("he", "hdab"):
        return H_DAB if word == "hdab" else HE
    if word in ("auto", "auto-hdab"):
        return stains_of(reader, H_DAB if word == "auto-hdab" else HE)
    if not text.lstrip().startswith("{") and Path(text).is_file():
        text = Path(text).read_text(encoding="utf-8")
    return StainVectors.parse(text)
