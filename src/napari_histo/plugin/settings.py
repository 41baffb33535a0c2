"""What the user set in napari's preferences for this plugin."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SegmentSettings"]


@dataclass(frozen=True)
class SegmentSettings:
    """Of the Segment panel; the defaults are those of ``napari.yaml``."""

    model: str = "he-nuclei"
    device: str = "auto"
    outline_width: int = 2

    @classmethod
    def load(cls) -> SegmentSettings:
        """From napari; the defaults where the plugin runs without its manifest."""
        from napari.settings import get_plugin_settings

        try:
            group = get_plugin_settings("napari-histo").segment
        except (KeyError, AttributeError):
            return cls()
        return cls(str(group.model), str(group.device), int(group.outline_width))
