"""One truth of a region that several people annotated, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

import numpy as np

from napari_histo.core import Contours, ObjectTable, new_ids
from napari_histo.core.learning import LabelledRegion
from napari_histo.learning.labels.consensus import Consensus, Method, merge_annotators

__all__ = ["Merging", "merge_labels", "told"]

#: How labels of several people become one; "first" takes those of the first place.
Merging = Literal["majority", "staple", "first"]


def merge_labels(
    each: Sequence[LabelledRegion], region_id: UUID, method: Method = "majority"
) -> tuple[LabelledRegion, dict[str, Any]]:
    """Merge what several annotators made of one region.

    Nothing is learnt where one of them could not tell.

    Parameters
    ----------
    each : sequence of LabelledRegion
        Two or more of the same region, each with a name of its own.
    region_id : UUID
        The merged objects' ids follow from it, so that the same labels merge to the same bytes.
    method : {"majority", "staple"}
        See `merge_annotators`.

    Returns
    -------
    LabelledRegion
        By all of them.
    dict
        How far they agree, in JSON's types.
    """
    first = each[0]
    found = merge_annotators({e.annotator: e.objects for e in each}, first.region, method=method)
    ids = new_ids(len(found.objects), np.random.default_rng(region_id.int))
    ignored = _union([e.ignored for e in each])
    objects = _outside(found.objects.with_columns(object_id=ids), ignored)
    names = [e.annotator for e in each]
    labels = replace(first, objects=objects, ignored=ignored, annotator=", ".join(names))
    return labels, _words(found, names, method)


def told(region: str, words: Mapping[str, Any]) -> str:
    """Agreement figures in a sentence."""
    *most, last = words["annotators"]
    kappa = words["kappa"]
    figures = [f"PQ {_figure(words['pq'])} and F1 {_figure(words['f1'])} between them"]
    if kappa is not None:
        figures.append(f"kappa of classes {kappa:.2f}")
    return (
        f"{region}: {', '.join(most)} and {last} merged by {words['method']}; "
        f"{', '.join(figures)}; {words['disputed']} of {words['objects']} objects disputed, "
        f"{words['left_out']} left out."
    )


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _words(found: Consensus, names: Sequence[str], method: Method) -> dict[str, Any]:
    pairs = {pair: (_known(a.pq), _known(a.f1)) for pair, a in found.between.items()}
    return {
        "method": method,
        "annotators": list(names),
        "between": [{"annotators": list(p), "pq": pq, "f1": f1} for p, (pq, f1) in pairs.items()],
        "pq": _mean([pq for pq, _ in pairs.values()]),
        "f1": _mean([f1 for _, f1 in pairs.values()]),
        "kappa": _known(found.kappa),
        "objects": len(found.objects),
        "disputed": len(found.disputed),
        "left_out": len(found.left_out),
    }


def _known(value: float) -> float | None:
    """NaN is no JSON."""
    return None if np.isnan(value) else round(float(value), 4)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return round(sum(known) / len(known), 4) if known else None


def _union(areas: Sequence[Contours]) -> Contours:
    import shapely

    shapes = [shape for area in areas for shape in shapely.make_valid(area.to_shapely())]
    parts = shapely.get_parts(shapely.union_all(shapes))
    flat = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    return Contours.from_shapely(flat[shapely.area(flat) > 0])


def _outside(objects: ObjectTable, ignored: Contours) -> ObjectTable:
    """Objects whose centroid lies in no ignored area."""
    import shapely

    x, y = objects.centroids.T
    return objects.select(~shapely.contains_xy(shapely.union_all(ignored.to_shapely()), x, y))
