"""What the user set in napari's preferences for this plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_histo.plugin.annotate.keys import COMMANDS

__all__ = ["AnnotateSettings", "SegmentSettings"]


@dataclass(frozen=True)
class SegmentSettings:
    """Of the Segment panel; the defaults are those of ``napari.yaml``."""

    model: str = "he-nuclei"
    device: str = "auto"
    outline_width: int = 2

    @classmethod
    def load(cls) -> SegmentSettings:
        """From napari; the defaults where the plugin runs without its manifest."""
        group = _group("segment")
        if group is None:
            return cls()
        return cls(str(group.model), str(group.device), int(group.outline_width))


def _default_keys() -> dict[str, str]:
    return {command.name: command.default for command in COMMANDS.values()}


@dataclass(frozen=True)
class AnnotateSettings:
    """Of the Annotate panel; the defaults are those of ``napari.yaml``.

    Attributes
    ----------
    classes : str
        Names of the classes that an image without objects begins with, between commas.
    outline_width : int
        Pixels of the screen.
    keys : mapping of str to str
        By name of the command, as napari writes keys.
    """

    classes: str = "Tumor, Stroma, Immune cells, Necrosis, Other"
    outline_width: int = 2
    keys: Mapping[str, str] = field(default_factory=_default_keys)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names one by one."""
        names = (name.strip() for name in self.classes.split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    @classmethod
    def load(cls) -> AnnotateSettings:
        """From napari; the defaults where the plugin runs without its manifest."""
        group = _group("annotate")
        if group is None:
            return cls()
        keys = {name: str(getattr(group, f"key_{name}")) for name in COMMANDS}
        return cls(str(group.classes), int(group.outline_width), keys)

    @staticmethod
    def events() -> Any:
        """Emits when the user changes one of these; None without the manifest."""
        group = _group("annotate")
        return None if group is None else group.events


def _group(name: str) -> Any:
    """A page of the preferences; None where the plugin runs without its manifest."""
    from napari.settings import get_plugin_settings

    try:
        return getattr(get_plugin_settings("napari-histo"), name)
    except (KeyError, AttributeError):
        return None
