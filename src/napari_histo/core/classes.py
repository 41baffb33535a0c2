"""Classes of objects with QuPath's names and colours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["ClassDef", "ClassScheme", "pack_argb", "unpack_rgb"]

_UNCLASSIFIED = -1
#: Colours of QuPath's own default classes, so that a class looks alike on both sides.
_QUPATH_COLOURS: dict[str, tuple[int, int, int]] = {
    "Tumor": (200, 0, 0),
    "Stroma": (150, 200, 150),
    "Immune cells": (160, 90, 160),
    "Necrosis": (50, 50, 50),
    "Other": (255, 200, 0),
    "Region*": (0, 0, 180),
    "Ignore*": (180, 180, 180),
    "Positive": (250, 62, 62),
    "Negative": (112, 112, 225),
    "1+": (255, 255, 0),
    "2+": (255, 187, 62),
    "3+": (250, 62, 62),
    "Nucleus": (40, 150, 220),
}
#: Colour-blind safe palette for classes that QuPath does not know (Okabe and Ito, 2008).
_PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def pack_argb(rgb: tuple[int, int, int], alpha: int = 255) -> int:
    """Pack 8-bit channels as Java's signed 32-bit ARGB, as in QuPath's ``classes.json``.

    Examples
    --------
    >>> pack_argb((200, 0, 0))
    -3670016
    """
    value = (alpha << 24) | (rgb[0] << 16) | (rgb[1] << 8) | rgb[2]
    return value - (1 << 32) if value & 0x80000000 else value


def unpack_rgb(argb: int) -> tuple[int, int, int]:
    """Red, green and blue (0-255) of a packed ARGB integer, signed or not."""
    return (argb >> 16) & 255, (argb >> 8) & 255, argb & 255


@dataclass(frozen=True, slots=True)
class ClassDef:
    """A class of objects.

    Attributes
    ----------
    name : str
        As QuPath prints it; derived classes are joined by ``": "`` (``"Tumor: Positive"``).
    rgb : (int, int, int)
        Colour, 0-255 each.
    """

    name: str
    rgb: tuple[int, int, int]

    @classmethod
    def named(cls, name: str) -> ClassDef:
        """Class with QuPath's colour where it has one, else one of a palette chosen by the name."""
        fallback = _PALETTE[sum(name.encode()) % len(_PALETTE)]
        return cls(name, _QUPATH_COLOURS.get(name, fallback))

    @property
    def names(self) -> tuple[str, ...]:
        """Parts of a derived class, base first."""
        return tuple(self.name.split(": "))

    @property
    def is_background(self) -> bool:
        """True for classes that QuPath ignores: ``Ignore*`` and others that end with ``*``."""
        return self.name.endswith("*") or self.name.startswith("Ignore")

    @property
    def argb(self) -> int:
        """Packed colour, Java's signed 32-bit ARGB."""
        return pack_argb(self.rgb)


@dataclass(frozen=True)
class ClassScheme:
    """Ordered classes; a class id is a position here and -1 means unclassified.

    Examples
    --------
    >>> scheme = ClassScheme.of("Tumor", "Stroma")
    >>> scheme.index("Stroma"), scheme.name_of(-1)
    (1, None)
    """

    classes: tuple[ClassDef, ...] = ()

    def __post_init__(self) -> None:
        names = [c.name for c in self.classes]
        if len(set(names)) != len(names):
            raise ValueError(f"Class names {names} are not unique; rename or merge the doubles.")

    @classmethod
    def of(cls, *names: str) -> ClassScheme:
        """Scheme of named classes with default colours."""
        return cls(tuple(ClassDef.named(n) for n in names))

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[ClassDef]:
        return iter(self.classes)

    def __getitem__(self, class_id: int) -> ClassDef:
        if class_id < 0:
            raise IndexError(f"Class id {class_id} means unclassified and has no definition.")
        return self.classes[class_id]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order of the ids."""
        return tuple(c.name for c in self.classes)

    def index(self, name: str | None) -> int:
        """Id of a name; -1 for None. Raises KeyError for a name that is not here."""
        if name is None:
            return _UNCLASSIFIED
        try:
            return self.names.index(name)
        except ValueError:
            raise KeyError(f"Class {name!r} is not in the scheme {list(self.names)}.") from None

    def name_of(self, class_id: int) -> str | None:
        """Name of an id; None for -1."""
        return None if class_id < 0 else self.classes[class_id].name

    def union(self, others: Iterable[ClassDef]) -> ClassScheme:
        """This scheme followed by those of `others` whose names are new; present colours win."""
        known = set(self.names)
        fresh: dict[str, ClassDef] = {}
        for item in others:
            if item.name not in known:
                fresh.setdefault(item.name, item)
        return ClassScheme((*self.classes, *fresh.values())) if fresh else self
