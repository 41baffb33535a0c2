"""Areas that a model predicted, and whether a person changed them since.

QuPath lets its users reshape an annotation and says nothing of it. So a published area carries what
it was, as a prediction carries its model and class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.objects import ObjectTable
from napari_histo.core.round_examples import PREDICTED_CLASS, PREDICTED_OUTLINE

__all__ = ["changed_areas", "outline_words"]

#: QuPath rounds coordinates; what is changed by less than this was touched by nobody.
_AREA, _CENTROID_PX = 2e-3, 0.5


def outline_words(table: ObjectTable) -> list[str]:
    """What to keep of each row's outline: its size in px² and its centroid in px."""
    return [
        f"{area:.1f} {x:.2f} {y:.2f}"
        for area, (x, y) in zip(table.areas_px, table.centroids, strict=True)
    ]


def changed_areas(table: ObjectTable) -> NDArray[np.bool_]:
    """(n,) areas that were published with another outline or class than they have now."""
    found = np.zeros(len(table), bool)
    if not table.details:
        return found
    names, areas, centroids = table.class_names, table.areas_px, table.centroids
    for row in range(len(table)):
        words = table.details_of(row).metadata
        if PREDICTED_OUTLINE in words:
            now = np.array([areas[row], *centroids[row]])
            is_same = _is_same(words[PREDICTED_OUTLINE], now)
            found[row] = not is_same or words.get(PREDICTED_CLASS) != names[row]
    return found


def _is_same(word: str, now: NDArray[np.float64]) -> bool:
    try:
        then = np.array([float(part) for part in word.split()])
    except ValueError:
        return False
    if then.shape != now.shape:
        return False
    within = np.array([_AREA * max(then[0], 1.0), _CENTROID_PX, _CENTROID_PX])
    return bool((np.abs(now - then) <= within).all())
