"""What a done region teaches a model of tissues: the areas that were painted in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, ObjectState, ObjectTable, ObjectType
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.predicted_areas import changed_areas
from napari_histo.core.rounds import CollectedRegion
from napari_histo.errors import LearningError
from napari_histo.learning.tissue.examples import speaking

__all__ = ["check_areas", "labelled_areas", "origins_of"]

_BY_HAND = (ObjectState.DRAWN, ObjectState.EDITED)


def labelled_areas(
    example: CollectedRegion, image: str, *, any_type: bool = False
) -> LabelledRegion:
    """Areas of a done region, cut at its outline.

    What a person painted replaces what was predicted beneath it, and so does a prediction that a
    person reshaped or gave another class; one that was left counts as accepted. The corners around
    a polygon are ignored. What lies in no area is unknown too: background is said by areas of the
    class ``Ignore*``.

    Parameters
    ----------
    example : CollectedRegion
    image : str
        Id of the image in the learning project.
    any_type : bool
        True to take detections for areas too, as files of labels hold them; else annotations
        alone, for a QuPath project may hold nuclei with classes beside them.
    """
    import shapely

    query = example.query
    box = query.box
    table = speaking(example.painted)
    if not any_type:
        table = table.select(table.object_type == ObjectType.ANNOTATION)
    state = np.where(changed_areas(table), ObjectState.EDITED, table.state).astype(np.uint8)
    table = table.with_columns(state=state)
    corners = shapely.box(box.x, box.y, box.right, box.bottom) - query.outline
    return LabelledRegion(
        image=image,
        region=box,
        objects=_cut(table, query.outline),
        ignored=Contours.from_shapely(_polygons(corners)),
        annotator=query.annotator,
        round=query.round_number,
    )


def check_areas(labels: Sequence[LabelledRegion], where: str) -> list[str]:
    """What somebody should know of areas that are to teach, a sentence each.

    Parameters
    ----------
    labels : sequence of LabelledRegion
    where : str
        They were painted.

    Raises
    ------
    LearningError
        There is none.
    """
    names = {name for one in labels for name in one.objects.class_names}
    if not names:
        raise LearningError(
            f"No done region of a training image holds an area with a class in {where}. Paint "
            "areas of tissue, and 'Ignore*' where there is none, then collect again."
        )
    if len(names) > 1:
        return []
    return [
        f"All that teaches in this round is painted as {names.pop()!r}: that shows no difference "
        "to learn. Paint what lies beside it as well, with 'Ignore*' where there is no tissue."
    ]


def origins_of(labels: LabelledRegion) -> Counter[str]:
    """Areas by how they came about: ``drawn``, ``corrected``, ``accepted``."""
    words = {ObjectState.DRAWN: "drawn", ObjectState.EDITED: "corrected"}
    return Counter(words.get(ObjectState(s), "accepted") for s in labels.objects.state.tolist())


def _cut(table: ObjectTable, outline: Any) -> ObjectTable:
    """Areas within an outline; predictions without what was painted over them."""
    import shapely

    shapes = shapely.make_valid(table.to_shapely())
    by_hand = np.isin(table.state, _BY_HAND)
    shapes[~by_hand] = shapely.difference(shapes[~by_hand], shapely.union_all(shapes[by_hand]))
    parts = [_polygons(shape) for shape in shapely.intersection(shapes, outline)]
    cut = [shapely.union_all(p) if len(p) else None for p in parts]
    table = table.with_columns(contours=Contours.from_shapely(cut))
    return table.select(table.areas_px > 0)


def _polygons(shape: Any) -> NDArray[np.object_]:
    """The parts of a geometry that have an area."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(np.atleast_1d(shape)))
    return np.asarray(parts[shapely.area(parts) > 0], object)
