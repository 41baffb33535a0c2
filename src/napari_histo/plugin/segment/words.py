"""What the Segment panel says."""

from __future__ import annotations

from html import escape

from napari_histo.core import ModelInfo, ObjectType
from napari_histo.plugin.histogram import format_area
from napari_histo.session import Result, SegmentState

__all__ = [
    "diameter_hint",
    "diameter_tip",
    "model_facts",
    "overlap_tip",
    "overlap_word",
    "pixel_hint",
    "prob_tip",
    "progress_text",
    "slide_hint",
    "slider_hint",
    "summary",
]

_CHANNELS = {
    "rgb": "colour",
    "gray": "one channel",
    "any": "any image",
    "cells": "cells, with or without nuclei",
    "rgb-or-cells": "colour, or cells with or without nuclei",
}


def model_facts(info: ModelInfo, *, available: bool) -> str:
    """What to know before a model is used."""
    size = "any pixel size" if info.pixel_size_um is None else f"{info.pixel_size_um:g} µm/px"
    # Names of licences must not be broken at their hyphens.
    facts = [size, _CHANNELS[info.channels], info.licence.replace("-", "\N{NON-BREAKING HYPHEN}")]
    if not available:
        facts.append("downloaded on first use")
    return " · ".join(facts)


def pixel_hint(state: SegmentState, link_colour: str) -> str:
    """What to do about an unknown pixel size, as HTML; empty where it is known."""
    if state.image is None or state.pixel_size is not None:
        return ""
    link = ""
    if state.image.hint_um is not None:
        um = f"{state.image.hint_um:g}"
        link = (
            f" The layer's scale is {um}, without a unit: "
            f"<a href='{um}' style='color: {link_colour}'>use {um} µm</a>."
        )
    if state.needs_pixel_size:
        return f"This image does not say. Usually 0.25 for a 40× scan, 0.5 for 20×.{link}"
    how = "the image is taken as it is"
    if _judges_sizes(state.model):
        how = "the network judges how large the objects are"
    return f"Unknown: {how}, and areas are in px².{link}"


def prob_tip(lowest: float, model: ModelInfo | None = None) -> str:
    """What the slider of the probability does; `lowest` is 0 while there is no result."""
    if _is_cellpose(model):
        return (
            "Pixels that are at least this likely belong to objects: lower finds more and larger "
            "ones. 0.5 is Cellpose's cellprob_threshold 0, 0.88 is 2, 0.12 is -2. The network is "
            "not run again."
        )
    tip = "Keep objects that are at least this likely."
    if not lowest:
        return tip
    return f"{tip} No new run is needed; below {lowest:g} nothing was kept."


def overlap_word(model: ModelInfo | None) -> str:
    """What the second slider is called."""
    return "Flow error" if _is_cellpose(model) else "Overlap"


def overlap_tip(model: ModelInfo | None) -> str:
    """What the second slider does."""
    if _is_cellpose(model):
        return (
            "Leave out objects whose shape the network itself doubts, by how far its flows are "
            "from those of such a shape: Cellpose's flow_threshold. 1 keeps all. The network is "
            "not run again."
        )
    return (
        "How much of an object another may cover before the less likely one goes. "
        "No new run is needed."
    )


def diameter_tip(model: ModelInfo) -> str:
    """What the diameter does."""
    px = "the one" if model.diameter_px is None else f"the {model.diameter_px:g} px"
    return (
        f"Diameter of the objects to find. The image is scaled so that it becomes {px} that the "
        "network was trained at. 0 takes the network's own."
    )


def diameter_hint(state: SegmentState) -> str:
    """The diameter in pixels of the image, or what there is instead."""
    model, size = state.model, state.pixel_size
    if model is None or not model.takes_diameter or state.image is None:
        return ""
    um = state.diameter_um or model.diameter_um
    if um is None and not model.pixel_size_um:
        return "The image is taken as it is."
    return "" if um is None or size is None else f"{um / size.mean_um:.0f} px of this image"


def _judges_sizes(model: ModelInfo | None) -> bool:
    """True for networks that are asked for the size of objects where nobody knows it."""
    return model is not None and model.takes_diameter and model.pixel_size_um is not None


def _is_cellpose(model: ModelInfo | None) -> bool:
    return model is not None and model.family == "cellpose"


def slide_hint(state: SegmentState) -> str:
    """What is different about large images."""
    if not state.is_slide_run or state.progress is not None or state.growing is not None:
        return ""
    return "A whole slide: objects appear as they are found. You can stop, and go on at any time."


def slider_hint(state: SegmentState) -> str:
    """Why the sliders choose nothing anew."""
    if state.is_slide_run or (state.is_of_result and not state.is_live):
        return (
            "Whole slides keep only what these let through: set them before. Other values are "
            "another run."
        )
    return ""


def progress_text(state: SegmentState) -> str:
    """How far a run is, and what it will still take."""
    progress, pace = state.progress, state.pace
    if progress is None:
        return ""
    words = [progress.message]
    if state.growing is not None and progress.total:
        words.append(f"{progress.done:,} of {progress.total:,} tiles")
    if progress.n_objects:
        words.append(f"{progress.n_objects:,} so far")
    if pace is not None:
        words += [f"{pace.tile_s:.2g} s a tile", f"{duration(pace.left_s)} left"]
    return " · ".join(words)


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(42), duration(150), duration(9000)
    ('42 s', '3 min', '2 h 30 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def summary(result: Result) -> str:
    """Count, median area and classes, as HTML."""
    numbers = result.statistics
    text = f"<b style='font-size: large'>{numbers.count:,}</b> {_noun(result, numbers.count)}"
    if numbers.count:
        text += f" · median area <b>{format_area(numbers.median_area)} {numbers.unit}</b>"
    if len(numbers.by_class) > 1:
        text += "<br>" + " · ".join(f"{escape(name)} {n:,}" for name, n in numbers.by_class)
    return text


def _noun(result: Result, count: int) -> str:
    table = result.table
    if (table.object_type == ObjectType.CELL).any():
        return "cell" if count == 1 else "cells"
    if result.model.classes.names == ("Nucleus",):
        return "nucleus" if count == 1 else "nuclei"
    return "object" if count == 1 else "objects"
