"""Drawn nuclei with labelled regions, for tests of training."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import Box, CancelToken, ClassScheme, Contours, ObjectTable, PixelSize
from napari_histo.core.learning import LabelledRegion
from napari_histo.errors import Cancelled
from napari_histo.learning.training import Example
from napari_histo.slides import ArrayReader

CLASSES = ClassScheme.of("Nucleus")
#: Ground and nuclei of two stains; what is dark in one is bright in the other.
PURPLE = ((225, 185, 212), (110, 65, 140))
BRIGHT = ((70, 60, 110), (190, 185, 215))


def drive(work):
    """Steps and result of a generator."""
    steps = []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return steps, end.value


def stop_after(step, trainer, parent, regions, folder, params, **words):
    """Begin a training and cancel it; no model is there, and the next step is given."""
    cancel = CancelToken()
    work = trainer(parent, regions, [], folder, params, cancel, **words)
    while next(work).done < step:
        pass
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(work)
    assert not folder.exists()


def first_step(steps):
    """Number of the first step that a training took."""
    return next(s.done for s in steps if s.message.startswith("Learning"))


def ellipses(seed, side=128, n=30):
    """Outlines that do not touch, each (24, 2)."""
    rng = np.random.default_rng(seed)
    centres, rings, turn = [], [], np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for _ in range(n * 10):
        centre, radii = rng.uniform(0, side, 2), rng.uniform(5, 8, 2)
        if all(np.hypot(*(centre - c)) > 18 for c in centres) and len(rings) < n:
            angle = rng.uniform(0, np.pi)
            rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            unit = np.stack([np.cos(turn), np.sin(turn)], axis=1)
            centres.append(centre)
            rings.append(np.clip(centre + (unit * radii) @ rotate.T, 0, side))
    return rings


def picture(rings, side=128, colours=PURPLE, seed=0, dtype=np.uint8):
    """(side, side, 3) of filled outlines on noisy ground."""
    from skimage.draw import polygon2mask

    mask = np.zeros((side, side), bool)
    for ring in rings:
        mask |= polygon2mask((side, side), ring[:, ::-1] - 0.5)
    ground, nuclei = (np.array(c, float) for c in colours)
    image = np.where(mask[..., None], nuclei, ground)
    noisy = image + np.random.default_rng(seed).normal(0, 8, image.shape)
    return np.clip(noisy, 0, np.iinfo(dtype).max).astype(dtype)


def region(image, box, rings, ignored=None, **columns):
    """A labelled region whose objects are these outlines."""
    table = ObjectTable.build(Contours.from_rings(rings), classes=CLASSES, **columns)
    return LabelledRegion(image, box, table, ignored or Contours.empty())


def example(seed=0, side=128, colours=PURPLE, box=None, rings=None, **columns):
    """A drawn image, all of it labelled by default."""
    rings = ellipses(seed, side) if rings is None else rings
    reader = ArrayReader(
        picture(rings, side, colours, seed), name=f"i{seed}", pixel_size=PixelSize.square(0.5)
    )
    box = box or Box(0, 0, side, side)
    return Example(reader, region(f"i{seed}", box, rings, **columns), group=f"g{seed}")


def square(x, y, side=10):
    """An outline."""
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)], float)
