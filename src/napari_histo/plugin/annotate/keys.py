"""The keys of the Annotate panel: what they are at first, and binding them to our layer alone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from app_model.types import KeyBinding
from qtpy.QtGui import QKeySequence

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["COMMANDS", "MAX_CLASS_KEYS", "Command", "Keys"]

MAX_CLASS_KEYS = 9


@dataclass(frozen=True)
class Command:
    """Something that a key does.

    Attributes
    ----------
    name : str
        ``key_<name>`` in the preferences.
    title : str
        In the user's words.
    default : str
        Key, as napari writes it: "Ctrl+Shift+Z".
    """

    name: str
    title: str
    default: str


#: All but the classes' 1-9. Keys of one tool come in the order of the buttons.
COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("click", "Click", "C"),
        Command("box", "Box", "B"),
        Command("squiggle", "Squiggle", "S"),
        Command("paint", "Paint", "P"),
        Command("erase", "Erase", "E"),
        Command("split", "Split along a line", "X"),
        Command("pick", "Pick", "K"),
        Command("merge", "Merge", "M"),
        Command("delete", "Delete", "Delete"),
        Command("smooth", "Smooth", "O"),
        Command("fill", "Fill holes", "F"),
        Command("outline", "Edit cell or nucleus", "T"),
        Command("undo", "Undo", "Ctrl+Z"),
        Command("redo", "Redo", "Ctrl+Shift+Z"),
        Command("done", "Finish the object", "Escape"),
        Command("smaller", "Smaller brush", "["),
        Command("larger", "Larger brush", "]"),
        Command("review", "Review", "R"),
        Command("next", "Next object", "N"),
        Command("previous", "Previous object", "Shift+N"),
        Command("accept", "Accept", "A"),
    )
}


class Keys:
    """Which key does what, as the user set it.

    Parameters
    ----------
    wanted : mapping of str to str
        Keys by name of the command. One that means nothing, or that another command has, is
        replaced by the default, and `problems` says so.
    """

    def __init__(self, wanted: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._keys: dict[str, KeyBinding] = {}
        taken: dict[str, str] = {str(d): f"class {d}" for d in range(1, MAX_CLASS_KEYS + 1)}
        for command in COMMANDS.values():
            key = self._parse(command, wanted.get(command.name, command.default), taken)
            if key is not None:
                self._keys[command.name] = key
                taken[str(key)] = command.title

    def _parse(self, command: Command, text: str, taken: dict[str, str]) -> KeyBinding | None:
        for attempt in dict.fromkeys((text, command.default)):
            key = _binding(attempt)
            if key is None:
                why = "is not a key"
            elif str(key) in taken:
                why = f"already does '{taken[str(key)]}'"
            else:
                return key
            self.problems.append(f"'{attempt}' for '{command.title}' {why}.")
        return None

    @property
    def names(self) -> tuple[str, ...]:
        """Commands that have a key."""
        return tuple(self._keys)

    def text(self, name: str) -> str:
        """The key as it stands on a button; empty where there is none."""
        key = self._keys.get(name)
        if key is None:
            return ""
        return QKeySequence(str(key)).toString(QKeySequence.SequenceFormat.NativeText)

    def bind(
        self,
        layer: Layer,
        actions: Mapping[str, Callable[[], None]],
        choose_class: Callable[[int], None],
        hold_to_pan: Callable[[Any], Generator[None, None, None]],
    ) -> None:
        """Let the keys act while `layer` is the active one, and only then.

        `choose_class` takes a position, for 1-9; `hold_to_pan` is for the space bar.
        """
        keymap: dict[str, Callable[[Any], Any]] = {
            str(self._keys[name]): _bound(action)
            for name, action in actions.items()
            if name in self._keys
        }
        if "delete" in actions:
            keymap.setdefault("Backspace", _bound(actions["delete"]))
        for digit in range(1, MAX_CLASS_KEYS + 1):
            keymap[str(digit)] = _bound(partial(choose_class, digit - 1))
        keymap["Space"] = hold_to_pan
        layer.keymap = keymap


def _bound(action: Callable[[], None]) -> Callable[[Any], None]:
    """As napari wants it: a function with a name, which gets the layer."""

    def act(_layer: Any) -> None:
        action()

    return act


def _binding(text: str) -> KeyBinding | None:
    try:
        key = KeyBinding.from_str(text.strip())
    except (ValueError, KeyError, IndexError):
        return None
    return key if text.strip() and str(key).rpartition("+")[2] else None
