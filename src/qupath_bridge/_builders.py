# SPDX-License-Identifier: GPL-3.0-or-later
"""How QuPath says what an image is made of: files at the leaves, steps laid over them.

A project keeps for each image a tree of "server builders". A leaf (``"uri"``) names a file, a
reader and its arguments; every other builder wraps one or several. The words are those of
``ImageServers.serverBuilderFactory`` from 0.2 to 0.7; since any extension may add its own, a
builder of unknown kind keeps its fields, and the builders within it are found all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from napari_histo.core import PixelSize

__all__ = ["PLAIN_KINDS", "UNKNOWN", "Builder", "parse_builder", "parse_server_file"]

UNKNOWN = "unknown"
#: Steps that change neither where a pixel lies nor what it shows.
PLAIN_KINDS = frozenset({"uri", "pyramidize"})
_OWN_FIELDS = frozenset({"builderType", "providerClassName", "uri", "args", "metadata"})
# What tells a builder without a "builderType", as in the server.json of QuPath before 0.5: the
# fields that it must have. Order matters, special before general.
_MARKS: tuple[tuple[str, frozenset[str]], ...] = (
    ("uri", frozenset({"uri", "args"})),
    ("uri", frozenset({"uri", "providerClassName"})),
    ("rotated", frozenset({"builder", "rotation"})),
    ("color_deconvolved", frozenset({"builder", "stains"})),
    ("channels", frozenset({"builder", "channels"})),
    ("sparse", frozenset({"regions", "path"})),
    ("swapRedBlue", frozenset({"builder", "order"})),
    ("color", frozenset({"builder", "transforms"})),
    ("affine", frozenset({"builder", "transform"})),
    ("cropped", frozenset({"builder", "region"})),
    ("flipped", frozenset({"builder", "flip"})),
    ("normalized", frozenset({"builder", "normalizer"})),
    ("typeConvert", frozenset({"builder", "pixelType"})),
    ("sliced", frozenset({"builder", "zStart"})),
    ("z_projected", frozenset({"builder", "projection"})),
    ("z_concatenated", frozenset({"builders"})),
)


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Builder:
    """One server builder, with those that it wraps.

    Attributes
    ----------
    kind : str
        QuPath's ``builderType``: ``uri``, ``rotated``, ``cropped``, ``affine``, ``flipped``,
        ``pyramidize``, ``channels``, ``sparse``, …; ``unknown`` where the file names none.
    inner : tuple of Builder
        What it wraps, in the file's order; none for a leaf.
    uri : str or None
        Of a leaf, as written.
    provider : str
        Java class of the reader, such as ``…bioformats.BioFormatsServerBuilder``.
    args : tuple of str
        The reader's arguments, such as ``("--series", "1")``.
    settings : mapping
        What this step does: ``{"rotation": "ROTATE_90"}``.
    metadata : mapping
        QuPath's facts about the image after this step: size, pixel size, channels.
    """

    kind: str
    inner: tuple[Builder, ...] = ()
    uri: str | None = None
    provider: str = ""
    args: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=_nothing)
    metadata: Mapping[str, Any] = field(default_factory=_nothing)

    def walk(self) -> Iterator[Builder]:
        """This builder and all within it, outermost first."""
        yield self
        for builder in self.inner:
            yield from builder.walk()

    @property
    def uris(self) -> tuple[str, ...]:
        """Every image file or address that is needed, each once."""
        return tuple(dict.fromkeys(b.uri for b in self.walk() if b.uri))

    @property
    def steps(self) -> tuple[Builder, ...]:
        """What is laid over the files, in the order in which it is done."""
        return tuple(b for b in reversed(tuple(self.walk())) if b.kind not in PLAIN_KINDS)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width in px of the image as QuPath shows it, where the project says so."""
        height, width = self.metadata.get("height"), self.metadata.get("width")
        if not (isinstance(height, int) and isinstance(width, int)):
            return None
        return height, width

    @property
    def pixel_size(self) -> PixelSize | None:
        """As in QuPath, where a person may have corrected it; None where it is not in µm."""
        calibration = self.metadata.get("pixelCalibration")
        if not isinstance(calibration, dict):
            return None
        sides = [calibration.get(name) or {} for name in ("pixelWidth", "pixelHeight")]
        try:
            if any(side["unit"] not in ("µm", "um", "μm") for side in sides):
                return None
            return PixelSize(*(float(side["value"]) for side in sides))
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def channels(self) -> tuple[tuple[str, tuple[int, int, int]], ...]:
        """Name and (red, green, blue) of each channel as in QuPath; empty where nothing is said."""
        channels = self.metadata.get("channels")
        try:
            return tuple(
                (str(c["name"]), ((n := int(c["color"])) >> 16 & 255, n >> 8 & 255, n & 255))
                for c in (channels if isinstance(channels, list) else ())
            )
        except (KeyError, TypeError, ValueError):
            return ()

    @property
    def series(self) -> int:
        """Number of the image in its file, from 0, of the reader's arguments."""
        for flag in ("--series", "-s"):
            number = self.argument(flag)
            if number is not None and number.isdecimal():
                return int(number)
        return 0

    def argument(self, flag: str) -> str | None:
        """Value of a flag among the arguments of the leaves, ``--flag value`` or ``--flag=value``.

        Examples
        --------
        >>> Builder("uri", args=("--series", "2")).argument("--series")
        '2'
        """
        for args in (b.args for b in self.walk()):
            for i, arg in enumerate(args):
                if arg == flag and i + 1 < len(args):
                    return args[i + 1]
                if arg.startswith(flag + "="):
                    return arg[len(flag) + 1 :]
        return None


def parse_builder(words: object) -> Builder:
    """The builder of a JSON value; one of kind ``unknown`` without files where it is none."""
    if not isinstance(words, dict):
        return Builder(UNKNOWN)
    holding = {key: tuple(_builders_in(words[key])) for key in words.keys() - _OWN_FIELDS}
    settings = {k: v for k, v in words.items() if k not in _OWN_FIELDS and not holding[k]}
    metadata = words.get("metadata")
    uri, args = words.get("uri"), words.get("args")
    return Builder(
        kind=_kind(words) or UNKNOWN,
        inner=tuple(b for key in words if key in holding for b in holding[key]),
        uri=uri if isinstance(uri, str) and uri else None,
        provider=str(words.get("providerClassName") or ""),
        args=tuple(str(a) for a in args) if isinstance(args, list) else (),
        settings=MappingProxyType(settings),
        metadata=MappingProxyType(metadata if isinstance(metadata, dict) else {}),
    )


def parse_server_file(words: Mapping[str, Any]) -> Builder:
    """The builder in a ``server.json``: bare before QuPath 0.5 and again since 0.6, wrapped in 0.5.

    Examples
    --------
    >>> leaf = {"uri": "file:/a.tif", "args": []}
    >>> parse_server_file(leaf) == parse_server_file({"builder": leaf, "metadata": {}})
    True
    """
    is_wrapper = "builderType" not in words and words.keys() == {"builder", "metadata"}
    return parse_builder(words.get("builder") if is_wrapper else dict(words))


def _kind(words: Mapping[str, Any]) -> str | None:
    named = words.get("builderType")
    if isinstance(named, str) and named:
        return named
    for kind, marks in _MARKS:
        if marks <= words.keys():
            return kind
    return "pyramidize" if "builder" in words else None


def _builders_in(value: object) -> Iterator[Builder]:
    """Builders within a field, however deep; those within these are their own affair."""
    if isinstance(value, dict) and _kind(value) is not None:
        yield parse_builder(value)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _builders_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from _builders_in(part)
