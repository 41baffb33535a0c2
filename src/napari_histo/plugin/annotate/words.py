"""What the Annotate panel says."""

from __future__ import annotations

from html import escape

import numpy as np

from napari_histo.core import ObjectTable, PixelSize
from napari_histo.plugin.annotate.keys import COMMANDS, Keys
from napari_histo.plugin.histogram import format_area
from napari_histo.session import AnnotationState, Outline

__all__ = [
    "ACTIONS",
    "SIZE_UNKNOWN",
    "TOOLS",
    "brush_text",
    "button_tip",
    "counts_text",
    "hint",
    "kept_text",
    "object_facts",
    "review_text",
]

#: Tools that the mouse works with, and actions on what is selected; in the order of the buttons.
TOOLS = ("click", "box", "squiggle", "paint", "erase", "split", "pick")
ACTIONS = ("merge", "delete", "smooth", "fill")

SIZE_UNKNOWN = "The image tells no pixel size: a scan of 0.25 µm/px is assumed."
_TIPS = {
    "click": "Click an object to outline it; click an outline to select it.",
    "box": "Drag a box around an object.",
    "squiggle": "Draw through an object: long or hollow ones, such as glands.",
    "paint": "Paint on the selected object, or a new one. Alt or the right button erases.",
    "erase": "Rub out parts of the selected object. Alt or the right button paints.",
    "split": "Draw a line across an object: it becomes two.",
    "pick": "Select objects by a click, or all in a dragged box; drag what is selected to move it.",
    "merge": "Make one object of those that are selected.",
    "delete": "Delete what is selected.",
    "smooth": "Smooth the outlines of what is selected.",
    "fill": "Fill the holes of what is selected.",
    "outline": "Brushes, smoothing, filling and clicks change the cell, or the nucleus within it.",
    "previous": "Back to the object before.",
    "next": "On to the next object, which is a little more certain.",
    "accept": "This outline is right: accept it and go on.",
    "undo": "Take the last step back, be it a click, an edit or a class.",
    "redo": "Do again what was taken back.",
}
_NEXT = {
    "click": "Click a nucleus to outline it, or an outline to select it. Dragging moves the view.",
    "box": "Drag a box around an object to outline it.",
    "squiggle": "Draw a line along an object to outline it.",
    "paint": "Drag to paint a new object.",
    "erase": "Drag over outlines to rub parts of them out.",
    "split": "Draw a line right across an object to cut it in two.",
    "pick": "Click an object, or drag a box around several.",
}
_NEXT_SELECTED = {
    "paint": "Drag to add to the object. Alt-drag takes away.",
    "erase": "Drag to take away from the object. Alt-drag adds.",
    "split": "Draw a line right across the object to cut it in two.",
    "pick": "1-9 gives a class. Drag to move it. Ctrl-click selects one more.",
}
_NEXT_NUCLEUS = {
    "paint": "Drag to add to the nucleus, or to give a cell one. It stays within its cell.",
    "erase": "Drag to take away from the nucleus.",
    "split": "Draw a line right across a cell: it is cut with its nucleus.",
}
_REFINE = (
    "Shift-{verb}: this belongs to it. Alt- or right-{verb}: this does not. 1-9 gives a class."
)
_VERBS = {"click": "click", "box": "click", "squiggle": "draw"}


def button_tip(name: str, keys: Keys) -> str:
    """Name, what it does, and the key."""
    key = keys.text(name)
    title = COMMANDS[name].title
    return f"{title} ({key})\n{_TIPS[name]}" if key else f"{title}\n{_TIPS[name]}"


def hint(state: AnnotationState, keys: Keys) -> str:
    """What the panel is doing, and what the next gesture would do."""
    tool, n = state.tool.value, len(state.selection)
    if state.in_flight:
        return "Outlining…" if state.in_flight == 1 else f"Outlining {state.in_flight} objects…"
    if state.outline is Outline.NUCLEUS and tool in _NEXT_NUCLEUS:
        return _NEXT_NUCLEUS[tool]
    if n > 1 and tool not in ("paint", "erase", "split"):
        actions = (("merge", "merges"), ("delete", "deletes"))
        said = " · ".join(f"{keys.text(k)} {verb}" for k, verb in actions if keys.text(k))
        return f"{n:,} selected: 1-9 gives a class · {said}."
    if n and state.tool.value in _VERBS:
        return _REFINE.format(verb=_VERBS[tool])
    return _NEXT_SELECTED[tool] if n else _NEXT[tool]


def counts_text(state: AnnotationState) -> str:
    """How many objects there are, by class, as HTML."""
    total = state.n_objects
    text = f"<b>{total:,}</b> {'object' if total == 1 else 'objects'}"
    shown = [
        f"{escape(name or 'no class')}\N{NO-BREAK SPACE}{n:,}"
        for name, n in state.counts.items()
        if n
    ]
    return text + "".join(f" · {part}" for part in shown)


def kept_text(state: AnnotationState) -> str:
    """What is safe, and where."""
    kept = state.kept
    at = f"saved {kept.saved_at:%H:%M}" if kept.saved_at is not None else ""
    file = "a file" if kept.target is None else kept.target.name
    if not kept.n_unsaved:
        return f"all changes kept · {at}" if at else "no changes yet"
    if kept.n_unsaved == 1 and not state.undo_name:  # what it began with counts as one
        return f"not in {file} yet · every change will be kept"
    changes = f"{kept.n_unsaved:,} {'change' if kept.n_unsaved == 1 else 'changes'}"
    return f"{changes} kept, not in {file} yet" + (f" · {at}" if at else "")


def object_facts(table: ObjectTable, pixel_size: PixelSize | None) -> str:
    """Class, area, area of the nucleus, and score of the first row."""
    shown = _area_text(float(table.areas_px[0]), pixel_size)
    inner = 0.0 if table.nuclei is None else float(table.nuclei.areas_px[0])
    if inner > 0:
        shown += f" · nucleus {_area_text(inner, pixel_size)}"
    score = float(table.det_prob[0])
    parts = [table.class_names[0] or "no class", shown]
    return " · ".join(parts if np.isnan(score) else [*parts, f"score {score:.2f}"])


def _area_text(area_px: float, pixel_size: PixelSize | None) -> str:
    if pixel_size is None:
        return f"{format_area(area_px)} px²"
    return f"{format_area(area_px * pixel_size.area_um2)} µm²"


def review_text(position: int, total: int, facts: str) -> str:
    """Where the review stands."""
    whole = facts.replace(" µm²", "\N{NO-BREAK SPACE}µm²")  # no line ends before its unit
    return f"{position:,} of {total:,}: {whole}"


def brush_text(radius_px: float, pixel_size: PixelSize | None) -> str:
    """Diameter of the brush."""
    if pixel_size is None:
        return f"{2 * radius_px:.0f} px"
    return f"{2 * radius_px * pixel_size.mean_um:.1f} µm"
