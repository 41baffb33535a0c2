"""What the Annotate panel says."""

from __future__ import annotations

from napari_histo.plugin.annotate_keys import COMMANDS, Keys

__all__ = ["ACTIONS", "TOOLS", "button_tip", "hint"]

#: Tools that the mouse works with, and actions on what is selected; in the order of the buttons.
TOOLS = ("click", "box", "squiggle", "paint", "erase", "split", "pick")
ACTIONS = ("merge", "delete", "smooth", "fill")

_TIPS = {
    "click": "Click an object to outline it; click an outline to select it.",
    "box": "Drag a box around an object.",
    "squiggle": "Draw through an object: long or hollow ones, such as glands.",
    "paint": "Paint on the selected object, or a new one.",
    "erase": "Take away from the selected object.",
    "split": "Draw a line through an object: it becomes two.",
    "pick": "Select objects by a click, or all in a dragged box, and change nothing.",
    "merge": "Make one object of those that are selected.",
    "delete": "Delete what is selected.",
    "smooth": "Smooth the outlines of what is selected.",
    "fill": "Fill the holes of what is selected.",
    "previous": "Back to the object before.",
    "next": "On to the next object, which is a little more certain.",
    "accept": "This outline is right: accept it and go on.",
    "undo": "Take the last step back, be it a click, an edit or a class.",
    "redo": "Do again what was taken back.",
}
_REFINE = "Shift-click: more of it · Alt- or right-click: less."
_HINTS = {
    "click": "Click an object to outline it.",
    "box": "Drag a box around an object.",
    "squiggle": "Draw a line along an object. With Alt: not this.",
    "paint": "Drag to paint a new object.",
    "erase": "Select an object first, then rub parts of it out.",
    "split": "Draw a line across an object, from outside to outside.",
    "pick": "Click an object, or drag a box around several. Ctrl adds.",
}
_HINTS_SELECTED = {
    "click": _REFINE,
    "box": "Drag a box around the next object.",
    "squiggle": "Draw along the next object. With Alt: not this part.",
    "paint": "Drag to add to the object; Alt takes away.",
    "erase": "Drag to take away from the object; Alt adds.",
    "split": "Draw a line across an object, from outside to outside.",
    "pick": "A class's key (1-9) relabels · Ctrl-click adds to the selection.",
}


def button_tip(name: str, keys: Keys) -> str:
    """Name, what it does, and the key."""
    key = keys.text(name)
    title = COMMANDS[name].title
    return f"{title} ({key})\n{_TIPS[name]}" if key else f"{title}\n{_TIPS[name]}"


def hint(tool: str, n_selected: int, keys: Keys) -> str:
    """What the next gesture would do."""
    if n_selected > 1:
        parts = [("merge", "merges"), ("delete", "deletes")]
        said = " · ".join(f"{keys.text(k)} {verb}" for k, verb in parts if keys.text(k))
        return f"{n_selected:,} selected: 1-9 relabels · {said}."
    return (_HINTS_SELECTED if n_selected else _HINTS)[tool]
