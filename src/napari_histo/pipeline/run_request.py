"""What a whole-slide run is asked for, what of that is kept with it, and what comes of it."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from napari_histo.core import Box, ClassScheme, Segmenter, SlideReader
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.segment import SegmentRequest

__all__ = ["TILES_PX", "RunRequest", "SlideRun", "facts_of"]

#: Sides of tiles, the best first: of smaller ones the margin is a larger share.
TILES_PX = (1024, 512, 256)
_PACKAGES = ("napari-histo", "torch", "stardist", "numpy", "scipy", "scikit-image", "tifffile")
_SAMPLE_PX = 256


@dataclass(frozen=True)
class RunRequest:
    """What a whole-slide run is asked for.

    Attributes
    ----------
    segment : SegmentRequest
        `tile_px` is 1024 by default, or less where memory is short; a random `seed` is drawn once.
        Both are kept with the run.
    tissue : TissueMask or None
        Where to look; None for everywhere. Objects anchored elsewhere are left out.
    resume : bool
        Go on with what is in the folder.
    keep_proposals : bool
        Keep what the network found, below the end of the run.
    classes : ClassScheme or None
        Other names for the model's classes, in their order.
    options : tuple of (str, value)
        Other facts to be the same for a resumed run (focal plane, series).
    """

    segment: SegmentRequest = field(default_factory=SegmentRequest)
    tissue: TissueMask | None = None
    resume: bool = False
    keep_proposals: bool = False
    classes: ClassScheme | None = None
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class SlideRun:
    """A run that is done.

    Attributes
    ----------
    folder : Path
    objects : Path
        GeoParquet of all objects.
    n_objects, n_tiles : int
    seconds : float
        That this call took; less than the whole where the run was resumed.
    notes : tuple of str
        What the user should know: smaller batches, other devices.
    """

    folder: Path
    objects: Path
    n_objects: int
    n_tiles: int
    seconds: float
    notes: tuple[str, ...] = ()


def facts_of(reader: SlideReader, model: Segmenter, request: RunRequest) -> dict[str, Any]:
    """Facts for `run.json`: where image, model and parameters are the same, so are the objects."""
    info, asked = reader.info, request.segment
    thresholds = asked.thresholds or model.info.thresholds
    size = asked.pixel_size or info.pixel_size
    tissue = request.tissue
    seed = asked.seed
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    return {
        "image": {
            "name": info.name,
            "size_px": [info.width, info.height],
            "fingerprint": _fingerprint(reader),
        },
        "model": {
            "name": model.info.name,
            "sha256": model.info.sha256,
            "precision": getattr(model, "precision", None),
        },
        "parameters": {
            "region": None if asked.region is None else asdict(asked.region),
            "pixel_size_um": None if size is None else [size.x_um, size.y_um],
            "channel": asked.channel,
            **({} if asked.colours is None else {"colours": asked.colours.describe()}),
            **_where_given(nuclear_channel=asked.nuclear_channel, tile_px=asked.tile_px),
            "thresholds": asdict(thresholds),
            "classes": None if request.classes is None else list(request.classes.names),
            "tissue": None if tissue is None else _hash(np.packbits(tissue.cells).tobytes()),
            **dict(request.options),
        },
        "seed": seed,
        "tile_px": asked.tile_px or _fitting_tile_px(model),
        "path": info.path,
        "device": str(getattr(model, "device", "cpu")),
        "versions": _versions(),
    }


def _where_given(**facts: Any) -> dict[str, Any]:
    """Facts that older runs do not have, and need not."""
    return {name: value for name, value in facts.items() if value is not None}


def _fitting_tile_px(model: Segmenter) -> int:
    """The largest tile that fits into memory with its margins."""
    fitting = (px for px in TILES_PX if model.room(px + 2 * model.margin_px))
    return next(fitting, TILES_PX[-1])


def _fingerprint(reader: SlideReader) -> str:
    """Hash of the coarsest level's middle: another image under the same name is noticed."""
    info = reader.info
    level = len(info.level_shapes) - 1
    box = info.level_box(level)
    left, top = (max(0, (n - _SAMPLE_PX) // 2) for n in (box.width, box.height))
    middle = Box(left, top, _SAMPLE_PX, _SAMPLE_PX)
    return _hash(np.ascontiguousarray(reader.read(middle.intersect(box), level)).tobytes())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
