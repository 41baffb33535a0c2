"""What an annotator may have drawn when an object is asked for, at random, as maps of a patch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histo.core import PointPrompt, Prompt
from napari_histo.models.nuclick.maps import EXCLUDE, draw_maps
from napari_histo.ops.gestures import Mask, box, click, squiggle

__all__ = ["NUCLEI", "draw_gestures", "exclusions", "first_gesture", "neighbours_drawn"]

#: Shares of click, box and squiggle with which nuclei are asked for.
NUCLEI = (0.76, 0.12, 0.12)


def draw_gestures(
    labels: NDArray[np.int32], target: int, shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Maps (3, side, side) of what is drawn for one object of a patch, and of what it is not.

    Parameters
    ----------
    labels : (side, side) int32
        Objects of the patch; `target` is among them.
    shares : three floats
        Of click, box and squiggle. A click is where the patch's middle is the object's, most often.
    """
    side = len(labels)
    truth = labels == target
    gesture = rng.choice(3, p=np.asarray(shares))
    if gesture == 0 and truth[side // 2, side // 2]:
        prompts: list[Prompt] = [PointPrompt(side / 2 + 0.5, side / 2 + 0.5)]
    else:
        prompts = first_gesture(truth, np.eye(3)[gesture].tolist(), rng)
    maps = draw_maps([*prompts, *exclusions(labels, target, rng)], side)
    drawn = neighbours_drawn(labels, target, rng)
    if drawn is not None:
        maps[EXCLUDE] |= drawn
    return maps


def exclusions(labels: NDArray[np.int32], target: int, rng: np.random.Generator) -> list[Prompt]:
    """Clicks on the neighbours: all, some or none; now and then a false one on background."""
    mode = rng.random()
    share = 0.0 if mode < 0.5 else 1.0 if mode < 0.75 else rng.uniform(0.1, 0.9)
    found: list[Prompt] = []
    for other, where in enumerate(ndimage.find_objects(labels), start=1):
        if other == target or where is None or rng.random() > share:
            continue
        mask = labels[where] == other
        if mask.sum() < 12:
            continue
        point = click(mask, rng, positive=False)
        found.append(PointPrompt(point.x + where[1].start, point.y + where[0].start, False))
    if rng.random() < 0.15 and (labels == 0).any():
        found.append(click(labels == 0, rng, positive=False))
    if rng.random() < 0.05 and (labels == 0).any():
        found.append(squiggle(labels == 0, rng, positive=False))
    return found


def neighbours_drawn(
    labels: NDArray[np.int32], target: int, rng: np.random.Generator
) -> Mask | None:
    """The outlines of some neighbours, as known objects: filled, a little smaller; or none."""
    if rng.random() < 0.75:
        return None
    others = np.setdiff1d(np.unique(labels), [0, target])
    known = others[rng.random(len(others)) < rng.uniform(0.3, 1.0)]
    mask: Mask = np.isin(labels, known)
    return ndimage.binary_erosion(mask) if rng.random() < 0.7 else mask


def first_gesture(mask: Mask, shares: Sequence[float], rng: np.random.Generator) -> list[Prompt]:
    """One gesture; `shares` are those of click, box and squiggle."""
    kind = rng.choice(3, p=np.asarray(shares))
    if kind == 0:
        return [click(mask, rng)]
    return [box(mask, rng)] if kind == 1 else [squiggle(mask, rng)]
