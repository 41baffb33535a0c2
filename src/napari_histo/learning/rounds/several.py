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
from napari_histo.learning.tissue.merging import AreaConsensus, merge_areas

__all__ = ["Merging", "merge_labels", "merge_painted", "told", "told_of_all"]

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


def merge_painted(
    each: Sequence[LabelledRegion], region_id: UUID
) -> tuple[LabelledRegion, dict[str, Any]]:
    """Merge the areas that several people painted in one region; see `merge_areas`.

    Parameters and what is given back are those of `merge_labels`.
    """
    first, names = each[0], [e.annotator for e in each]
    found = merge_areas({e.annotator: e.objects for e in each}, first.region)
    ids = new_ids(len(found.areas), np.random.default_rng(region_id.int))
    labels = replace(
        first,
        objects=found.areas.with_columns(object_id=ids),
        ignored=_union([e.ignored for e in each]),
        annotator=", ".join(names),
    )
    return labels, _words_of_areas(found, names)


def told(region: str, words: Mapping[str, Any]) -> str:
    """Agreement figures in a sentence."""
    *most, last = words["annotators"]
    merged = f"{region}: {', '.join(most)} and {last} merged by {words['method']}; "
    return merged + (_told_areas(words) if "dice" in words else _told_objects(words))


def told_of_all(merged: Sequence[Mapping[str, Any]]) -> str:
    """Agreement over all regions that several people did, in a sentence; "" where none is such."""
    if not merged:
        return ""
    start = f"{len(merged)} regions by several people merged: "
    if "dice" in merged[0]:
        return start + _told_areas(_pooled(merged))
    quality = _mean([words["pq"] for words in merged])
    pq = "no objects" if quality is None else f"mean PQ between them {quality:.3f}"
    disputed, n = (sum(words[key] for words in merged) for key in ("disputed", "objects"))
    return f"{start}{pq}, {disputed} of {n} objects disputed."


def _told_objects(words: Mapping[str, Any]) -> str:
    kappa = words["kappa"]
    figures = [f"PQ {_figure(words['pq'])} and F1 {_figure(words['f1'])} between them"]
    if kappa is not None:
        figures.append(f"kappa of classes {kappa:.2f}")
    return (
        f"{', '.join(figures)}; {words['disputed']} of {words['objects']} objects disputed, "
        f"{words['left_out']} left out."
    )


def _told_areas(words: Mapping[str, Any]) -> str:
    share = words["open_px"] / max(words["painted_px"], 1)
    left = f"{100 * share:.0f} % of what they painted is left open."
    if words["mean_dice"] is None:
        return f"no place that two of them painted; {left}"
    each = ", ".join(f"{name} {dice:.2f}" for name, dice in words["dice"].items())
    return f"mean Dice {words['mean_dice']:.2f} between them ({each}); {left}"


def _pooled(merged: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Agreement on areas over several regions."""
    dice = _mean_by_class([words["dice"] for words in merged])
    pixels = {key: sum(words[key] for words in merged) for key in ("painted_px", "open_px")}
    return {"dice": dice, "mean_dice": _mean(list(dice.values())), **pixels}


def _words_of_areas(found: AreaConsensus, names: Sequence[str]) -> dict[str, Any]:
    dice = _mean_by_class(list(found.dice.values()))
    rounded = {p: {name: round(v, 4) for name, v in d.items()} for p, d in found.dice.items()}
    return {
        "method": "majority",
        "annotators": list(names),
        "between": [{"annotators": list(p), "dice": d} for p, d in rounded.items()],
        "dice": dice,
        "mean_dice": _mean(list(dice.values())),
        "areas": len(found.areas),
        "painted_px": found.painted_px,
        "open_px": found.open_px,
    }


def _mean_by_class(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each class over those that have a figure for it."""
    names = dict.fromkeys(name for dice in each for name in dice)
    found = {name: _mean([dice.get(name) for dice in each]) for name in names}
    return {name: value for name, value in found.items() if value is not None}


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
