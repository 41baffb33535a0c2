"""How the features of objects are made, so that they can be made again elsewhere."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, ObjectTable, PixelSize, Progress, SlideReader
from napari_histo.core.segmenters import Describer
from napari_histo.errors import LearningError, PixelSizeUnknownError
from napari_histo.learning.cells.context import SMOOTHED, smoothed
from napari_histo.learning.cells.features import ObjectFeatures, is_feature, is_object
from napari_histo.learning.cells.network import network_features
from napari_histo.ops.region_counts import centres_of
from napari_histo.ops.stain_vectors import H_DAB, HE, StainVectors
from napari_histo.pipeline.colours import stains_of
from napari_histo.pipeline.measure import MeasureRequest, measure

__all__ = ["NETWORK", "FeatureRecipe", "MadeFeatures", "check_pixel_size", "make_features"]

#: Before the number of a network's feature.
NETWORK = "Network "
#: Pixel sizes that differ by more show textures and edges differently.
_ALIKE = 1.35


@dataclass(frozen=True)
class FeatureRecipe:
    """How features are made.

    Attributes
    ----------
    around_um : tuple of float
        Radii over which the neighbours' measurements are averaged; none for () .
    network : str or None
        Name of the model whose last layer is asked; None for none.
    network_sha256 : str or None
        Of that model's weights, where it says.
    expand_um : float or None
        Nuclei are measured with a cell of so many µm around them.
    stains : str or None
        "he", "hdab", "auto" and "auto-hdab" (estimated from each image), "channels" (as they are),
        or QuPath's text of stain vectors. None is "he", where the image is not grey.
    compartment : str
        What the outlines show; see `MeasureRequest`.
    """

    around_um: tuple[float, ...] = (50.0,)
    network: str | None = None
    network_sha256: str | None = None
    expand_um: float | None = None
    stains: str | None = None
    compartment: str = "Nucleus"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"around_um": list(self.around_um)}

    @classmethod
    def from_dict(cls, words: Mapping[str, Any]) -> FeatureRecipe:
        """Back from `as_dict`; words that are not known are passed over."""
        known = {f.name: words[f.name] for f in fields(cls) if f.name in words}
        known["around_um"] = tuple(float(v) for v in known.get("around_um", ()))
        return cls(**known)

    def request(self, reader: SlideReader, pixel_size: PixelSize | None) -> MeasureRequest:
        """What is to be measured of an image."""
        return MeasureRequest(
            pixel_size=pixel_size,
            compartment=self.compartment,
            expand_um=self.expand_um,
            stains=_stains(reader, self.stains),
            channels=self.stains == "channels",
        )


@dataclass(frozen=True, eq=False)
class MadeFeatures:
    """Features of a table's objects.

    Attributes
    ----------
    features : ObjectFeatures
    table : ObjectTable
        The same objects, with the measurements that had to be made.
    """

    features: ObjectFeatures
    table: ObjectTable


def make_features(
    table: ObjectTable,
    recipe: FeatureRecipe | None = None,
    *,
    reader: SlideReader | None = None,
    model: Describer | None = None,
    pixel_size: PixelSize | None = None,
    names: Sequence[str] | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, MadeFeatures]:
    """Features of all objects of a table; drive it in any thread but the window's.

    Measurements that the table has are taken as they are; without any, or where `names` asks for
    others, the objects are measured on the image.

    Parameters
    ----------
    table : ObjectTable
    recipe : FeatureRecipe, optional
    reader : SlideReader, optional
        The image; not needed where the table has all measurements.
    model : Describer, optional
        The network that `recipe` names.
    pixel_size : PixelSize, optional
        The user's word; it wins over the image's.
    names : sequence of str, optional
        Features that a classifier wants; others are left out.
    cancel : CancelToken, optional

    Raises
    ------
    LearningError
        Measurements are missing and there is no image to make them from.
    PixelSizeUnknownError
        Neighbours are asked for, and nobody knows the pixel size.
    ImageError, Cancelled
    """
    recipe = recipe or FeatureRecipe()
    size = pixel_size or (None if reader is None else reader.info.pixel_size)
    base = _base_names(names)
    measured = table
    if _lacks(table, base, recipe):
        if reader is None:
            raise LearningError(_needs_image(table, base))
        done = yield from measure(reader, table, recipe.request(reader, size), cancel)
        measured = done.table
    size_um = None if size is None else size.mean_um
    wanted = None if names is None else base
    features = ObjectFeatures.of_table(measured, wanted, pixel_size_um=size_um)
    if recipe.around_um:
        yield Progress(0, 0, "Averaging over neighbours")
        features = features.beside(_around(features, table, recipe, size))
    if recipe.network is not None:
        seen = yield from _seen(table, recipe.network, reader, model, size, cancel)
        features = features.beside(seen)
    if names is not None:
        features = features.only(names)
    kept = table if recipe.expand_um is not None else measured
    return MadeFeatures(features, kept)


def check_pixel_size(known_um: Sequence[float], pixel_size_um: float | None) -> None:
    """Raise LearningError where a classifier learned at no pixel size like this one."""
    if pixel_size_um is None or not known_um:
        return
    if any(1 / _ALIKE <= pixel_size_um / known <= _ALIKE for known in known_um):
        return
    learned = " and ".join(f"{size:g}" for size in known_um)
    raise LearningError(
        f"The image has {pixel_size_um:g} µm per pixel, but the classifier learned at {learned} "
        "µm, where the same cells measure differently. Use a slide of that pixel size, train on "
        "examples of this one, or correct the pixel size (--pixel-size) if it is wrong."
    )


def _stains(reader: SlideReader, word: str | None) -> StainVectors | None:
    """None where `measure` decides."""
    if word in (None, "channels") or not reader.info.is_rgb:
        return None
    if word in ("auto", "auto-hdab"):
        return stains_of(reader, H_DAB if word == "auto-hdab" else HE)
    known = {"he": HE, "hdab": H_DAB}
    return known[word] if word in known else StainVectors.parse(str(word))


def _base_names(names: Sequence[str] | None) -> list[str]:
    """Measurements among the names of features."""
    wanted = [n.split(": ", 2)[2] if n.startswith(SMOOTHED) else n for n in names or ()]
    return list(dict.fromkeys(name for name in wanted if not name.startswith(NETWORK)))


def _lacks(table: ObjectTable, base: Sequence[str], recipe: FeatureRecipe) -> bool:
    if base:
        return any(name not in table.measurements for name in base)
    there = [name for name in table.measurements if is_feature(name)]
    return not there or (recipe.expand_um is not None and not any("Cell: " in n for n in there))


def _needs_image(table: ObjectTable, base: Sequence[str]) -> str:
    missing = [name for name in base if name not in table.measurements]
    what = f"lack {missing[0]!r}" if missing else "have no measurements"
    others = f" and {len(missing) - 1} other measurements" if len(missing) > 1 else ""
    return (
        f"The objects {what}{others}, and there is no image to make them from. Give the image "
        "(--image), or measure the objects first (napari-histo measure)."
    )


def _around(
    features: ObjectFeatures, table: ObjectTable, recipe: FeatureRecipe, size: PixelSize | None
) -> ObjectFeatures:
    if size is None:
        raise PixelSizeUnknownError(
            "The pixel size is not known, so neighbours within "
            f"{max(recipe.around_um):g} µm cannot be found. Say how large a pixel is "
            "(--pixel-size UM), or train without neighbours (--around 0)."
        )
    return smoothed(features, _places(table) * (size.x_um, size.y_um), recipe.around_um)


def _seen(
    table: ObjectTable,
    name: str,
    reader: SlideReader | None,
    model: Describer | None,
    size: PixelSize | None,
    cancel: CancelToken | None,
) -> Generator[Progress, None, ObjectFeatures]:
    if reader is None or model is None:
        missing = "image (--image)" if reader is None else "model"
        raise LearningError(
            f"Features of the network {name!r} are needed, but there is no {missing} to make them "
            "from. Give it, or train without a network."
        )
    values = yield from network_features(
        reader, _places(table), model, pixel_size=size, cancel=cancel
    )
    titles = tuple(f"{NETWORK}{name}: {i}" for i in range(values.shape[1]))
    return ObjectFeatures(titles, values)


def _places(table: ObjectTable) -> NDArray[np.float64]:
    """(n, 2) centres of objects, px; NaN for annotations and what was refused."""
    return np.where(is_object(table)[:, None], centres_of(table), np.nan)
