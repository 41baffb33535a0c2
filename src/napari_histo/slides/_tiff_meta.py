"""What a TIFF says about itself: pixel size, channel names, magnification.

Works on tifffile's objects without importing it. Pixel sizes are believed by the rules of
`napari_histo.slides._physical`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from napari_histo.core.pixel_size import PixelSize
from napari_histo.slides._physical import (
    MICRONS,
    from_metadata,
    from_resolution,
    microns_per_unit,
)

__all__ = ["TiffFacts", "facts_of"]

#: µm of TIFF's ResolutionUnit values; 1 means "no unit". 4 and 5 are tifffile's own extension.
_TIFF_UNITS = {2: MICRONS["inch"], 3: MICRONS["cm"], 4: MICRONS["mm"], 5: MICRONS["µm"]}


@dataclass
class TiffFacts:
    """What metadata tell beyond the layout; None and empty where they are silent."""

    pixel_size: PixelSize | None = None
    magnification: float | None = None
    channel_names: tuple[str, ...] = ()
    channel_colours: tuple[tuple[int, int, int], ...] = ()
    texts: dict[str, str] = field(default_factory=dict)


def facts_of(tiff: Any, series: Any, series_index: int, frames: Sequence[int]) -> TiffFacts:
    """Facts about one series of a ``tifffile.TiffFile``.

    Parameters
    ----------
    tiff, series : tifffile.TiffFile, TiffPageSeries
    series_index : int
        Position of the series in the file.
    frames : sequence of int
        Which planes of the series are shown, for formats that name planes and not channels.
    """
    facts = TiffFacts()
    if series.kind == "ome":
        facts = _ome(tiff.ome_metadata, series, series_index)
    elif series.kind == "svs" and series_index == 0:
        # Thumbnail, label and macro repeat the slide's text, which is not about them.
        facts = _aperio(series.keyframe.description)
    elif series.kind == "imagej":
        facts = _imagej(tiff.imagej_metadata or {}, series.keyframe, frames)
    elif series.kind == "qpi":
        facts = TiffFacts(channel_names=_qptiff_names(series, frames))
    if facts.pixel_size is None and series.kind != "ome":
        facts.pixel_size = _from_tags(series.keyframe)
    facts.texts["description"] = str(series.keyframe.description or "")[:4000]
    facts.texts = {key: text for key, text in facts.texts.items() if text}
    return facts


def _ome(xml: str | None, series: Any, series_index: int) -> TiffFacts:
    found = _ome_pixels(xml, series, series_index)
    if found is None:
        return TiffFacts()
    image, pixels = found
    sizes = [_ome_length(pixels.attrib, f"PhysicalSize{axis}") for axis in "XY"]
    channels = [e for e in pixels if _tag(e) == "Channel"]
    return TiffFacts(
        pixel_size=from_metadata(sizes[0], sizes[1]),
        magnification=_ome_magnification(xml, image),
        channel_names=_ome_names(channels),
        channel_colours=_ome_colours(channels),
        texts={"image": image.attrib.get("Name", "")},
    )


def _ome_pixels(
    xml: str | None, series: Any, index: int
) -> tuple[ElementTree.Element, ElementTree.Element] | None:
    """The Image and its Pixels that describe a series: the one of its number, if the size fits."""
    try:
        root = ElementTree.fromstring(xml or "")
    except ElementTree.ParseError:
        return None
    found = [
        (image, e) for image in root if _tag(image) == "Image" for e in image if _tag(e) == "Pixels"
    ]
    height, width = series.keyframe.imagelength, series.keyframe.imagewidth
    size = {"SizeX": str(width), "SizeY": str(height)}
    fitting = [p for p in found if all(p[1].attrib.get(k) == v for k, v in size.items())]
    if index < len(found) and found[index] in fitting:
        return found[index]
    return fitting[0] if fitting else None


def _ome_length(attributes: dict[str, str], name: str) -> float | None:
    """A length of OME-XML in µm; µm is the schema's default unit."""
    unit = microns_per_unit(attributes.get(f"{name}Unit", "µm"))
    try:
        return float(attributes[name]) * unit if unit else None
    except (KeyError, ValueError):
        return None


def _ome_names(channels: list[ElementTree.Element]) -> tuple[str, ...]:
    names: list[str] = []
    for i, channel in enumerate(channels):
        name = channel.attrib.get("Name") or channel.attrib.get("Fluor") or f"Channel {i + 1}"
        samples = int(channel.attrib.get("SamplesPerPixel", 1))
        names += [name] if samples == 1 else [f"{name} {s + 1}" for s in range(samples)]
    return tuple(names)


def _ome_colours(channels: list[ElementTree.Element]) -> tuple[tuple[int, int, int], ...]:
    """Red, green and blue of each channel; none where one is silent, or all are the default.

    OME writes RGBA as a signed number of 32 bits, white (-1) by default.
    """
    try:
        words = [int(channel.attrib.get("Color", -1)) for channel in channels]
    except ValueError:
        return ()
    if any(int(channel.attrib.get("SamplesPerPixel", 1)) > 1 for channel in channels):
        return ()
    if all(word == -1 for word in words):
        return ()
    return tuple(((w >> 24) & 255, (w >> 16) & 255, (w >> 8) & 255) for w in words)


def _ome_magnification(xml: str | None, image: ElementTree.Element) -> float | None:
    """NominalMagnification of the objective that the image refers to."""
    wanted = {e.attrib.get("ID") for e in image if _tag(e) == "ObjectiveSettings"}
    for element in ElementTree.fromstring(xml or "").iter():
        if _tag(element) == "Objective" and element.attrib.get("ID") in wanted:
            return _number(element.attrib.get("NominalMagnification"))
    return None


def _tag(element: ElementTree.Element) -> str:
    """Name without the schema's namespace, which changes with each version."""
    return str(element.tag).rpartition("}")[2]


def _aperio(description: str) -> TiffFacts:
    pairs = (item.partition("=") for item in description.split("|")[1:])
    texts = {key.strip(): value.strip() for key, _, value in pairs}
    mpp = _number(texts.get("MPP"))
    return TiffFacts(
        pixel_size=from_metadata(mpp, mpp),
        magnification=_number(texts.get("AppMag")),
        texts={f"aperio.{key}": value for key, value in texts.items()},
    )


def _imagej(metadata: dict[str, Any], page: Any, frames: Sequence[int]) -> TiffFacts:
    unit = str(metadata.get("unit", ""))
    per_unit = _resolution(page)
    size = None
    scale = microns_per_unit(unit)
    if scale and per_unit and unit.lower() not in ("inch", "inches", "in"):
        # The user set this scale by hand or a microscope did: it is no printer's.
        size = from_metadata(scale / per_unit[0], scale / per_unit[1])
    labels = metadata.get("Labels") or []
    names = [str(labels[i]) for i in frames if i < len(labels)]
    unique = len(set(names)) == len(names) == len(frames) and all(names)
    return TiffFacts(
        pixel_size=size,
        channel_names=tuple(names) if unique and len(frames) > 1 else (),
        texts={"imagej.unit": unit},
    )


def _qptiff_names(series: Any, frames: Sequence[int]) -> tuple[str, ...]:
    """Akoya writes an XML description with a Name into the page of each fluorophore."""
    names = []
    for frame in frames:
        try:
            root = ElementTree.fromstring(series[frame].description)
        except (ElementTree.ParseError, AttributeError):
            return ()
        names.append((root.findtext("Name") or "").strip())
    return tuple(names) if all(names) else ()


def _from_tags(page: Any) -> PixelSize | None:
    per_unit = _resolution(page)
    unit = page.tags.valueof(296, 2)  # inch is TIFF's default
    return from_resolution(*per_unit, _TIFF_UNITS.get(int(unit))) if per_unit else None


def _resolution(page: Any) -> tuple[float, float] | None:
    """Pixels per unit along x and y from tags 282 and 283."""
    values = []
    for code in (282, 283):
        value = page.tags.valueof(code)
        try:
            values.append(float(value[0]) / float(value[1]))
        except (TypeError, IndexError, ZeroDivisionError):
            return None
    return (values[0], values[1]) if min(values) > 0 else None


def _number(text: str | None) -> float | None:
    match = re.match(r"\s*([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)", text or "")
    value = float(match[1]) if match else 0.0
    return value if value > 0 else None
