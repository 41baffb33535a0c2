"""Regions of a round as rows of a table, and what done ones teach."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import (
    Box,
    ClassScheme,
    Contours,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
    Origin,
    QueriedRegion,
    QueryStatus,
    collect_regions,
    region_facts,
    regions_as_table,
    regions_in,
)
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.round_examples import MODEL, PREDICTED_CLASS, overlapping

IMAGE = ImageEntry("1", "slide 1.svs", "file:///slide%201.svs")
REGION = QueriedRegion.of_box(IMAGE, Box(0, 0, 100, 100), status=QueryStatus.DONE, round_number=2)

numbers = st.integers(-5000, 200_000)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def queried(draw):
    box = Box(draw(numbers), draw(numbers), draw(st.integers(1, 5000)), draw(st.integers(1, 5000)))
    in_round = draw(st.booleans())
    return QueriedRegion.of_box(
        IMAGE,
        box,
        region_id=draw(st.uuids(version=4)),
        status=draw(st.sampled_from(QueryStatus)),
        round_number=draw(st.integers(1, 99)) if in_round else 0,
        rank=draw(st.integers(1, 999)) if in_round else 0,
        score=draw(st.none() | st.floats(-1e6, 1e6)),
        reason=draw(words),
        annotator=draw(words),
        split=draw(st.sampled_from([None, "train", "validation"])),
        n_predictions=draw(st.integers(0, 10**6)),
    )


def disc(x, y, radius=8.0):
    return shapely.Point(x, y).buffer(radius, 8)


def rows(*shapes, name=None, kind=ObjectType.DETECTION, state=None, predicted=False, **details):
    classes = ClassScheme.of(name) if name else ClassScheme()
    default = ObjectState.DRAWN if kind == ObjectType.ANNOTATION else ObjectState.PREDICTED
    table = ObjectTable.build(
        Contours.from_shapely(shapes),
        classes=classes,
        object_type=kind,
        state=default if state is None else state,
    )
    if predicted:
        metadata = {MODEL: "he-nuclei"} | ({PREDICTED_CLASS: name} if name else {})
        details["metadata"] = metadata
    if not details:
        return table
    return table.with_columns(details=dict.fromkeys(table.uuids(), Details(**details)))


def drawn(*shapes, name=None):
    return rows(*shapes, name=name, kind=ObjectType.ANNOTATION)


def predicted(*shapes, name=None):
    return rows(*shapes, name=name, predicted=True)


def collect(*tables, region=REGION):
    (found,) = collect_regions(IMAGE, ObjectTable.concat([regions_as_table([region]), *tables]))
    return found


# -- regions -------------------------------------------------------------------------------------


@given(st.lists(queried(), max_size=4, unique_by=lambda r: r.region_id))
def test_regions_come_back_from_their_table(regions):
    assert regions_in(IMAGE, regions_as_table(regions)) == regions


@pytest.mark.parametrize(
    ("name", "status", "split"),
    [
        pytest.param("Region: to annotate", QueryStatus.TO_ANNOTATE, None, id="to annotate"),
        pytest.param("region: Done", QueryStatus.DONE, None, id="as somebody typed it"),
        pytest.param("Region: skipped", QueryStatus.SKIPPED, None, id="skipped"),
        pytest.param("Training", QueryStatus.DONE, "train", id="training"),
        pytest.param("Validation", QueryStatus.DONE, "validation", id="validation"),
    ],
)
def test_classes_that_mean_a_region(name, status, split):
    (region,) = regions_in(IMAGE, drawn(shapely.box(0, 0, 9, 9), name=name))
    assert (region.status, region.split, region.round_number) == (status, split, 0)


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(drawn(disc(9, 9), name="Region*"), id="QuPath's own region class"),
        pytest.param(drawn(shapely.Point(1, 1), name="Training"), id="a point"),
        pytest.param(rows(disc(9, 9), name="Training"), id="a detection"),
        pytest.param(drawn(disc(9, 9)), id="unclassified"),
        pytest.param(ObjectTable.empty(), id="nothing"),
    ],
)
def test_what_is_no_region(table):
    assert regions_in(IMAGE, table) == []


def test_a_region_is_locked_and_says_what_it_is():
    region = QueriedRegion.of_box(IMAGE, Box(0, 0, 9, 9), round_number=3, rank=1, reason="why")
    details = regions_as_table([region]).details[region.region_id]
    said = (details.name, details.description, details.locked)
    assert said == ("Round 3, region 1", "why", True)


def test_facts_of_an_image():
    statuses = [QueryStatus.DONE, QueryStatus.SKIPPED, QueryStatus.TO_ANNOTATE]
    regions = [
        QueriedRegion.of_box(IMAGE, Box(0, 0, 9, 9), status=s, round_number=i + 1)
        for i, s in enumerate(statuses)
    ]
    facts = region_facts(regions, n_objects=7)
    assert (facts.round_number, facts.n_to_annotate, facts.n_done, facts.n_skipped) == (3, 1, 1, 1)
    assert [region_facts(r).status for r in ([], regions, regions[:2], regions[2:])] == [
        "",
        "in work",
        "done",
        "to annotate",
    ]


# -- what done regions teach ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [QueryStatus.TO_ANNOTATE, QueryStatus.SKIPPED])
def test_only_done_regions_teach(status):
    region = QueriedRegion.of_box(IMAGE, Box(0, 0, 9, 9), status=status)
    assert collect_regions(IMAGE, regions_as_table([region])) == []


@pytest.mark.parametrize(
    ("tables", "counts"),
    [
        pytest.param([drawn(disc(20, 20), disc(50, 50))], {"drawn": 2}, id="drawn"),
        pytest.param([predicted(disc(20, 20), name="Tumor")], {"accepted": 1}, id="accepted"),
        pytest.param([rows(disc(20, 20), name="Tumor")], {"accepted": 1}, id="of another program"),
        pytest.param(
            [rows(disc(20, 20), state=ObjectState.EDITED)], {"corrected": 1}, id="outline changed"
        ),
        pytest.param(
            [predicted(disc(20, 20), disc(26, 20)), drawn(disc(22, 20, 12))],
            {"corrected": 1},
            id="drawn over two halves",
        ),
        pytest.param(
            [predicted(disc(20, 20), name="Tumor"), drawn(shapely.Point(21, 21), name="Stroma")],
            {"classified": 1},
            id="a point with a class",
        ),
        pytest.param([rows(disc(20, 20), state=ObjectState.REJECTED)], {}, id="refused"),
        pytest.param([rows(disc(20, 20), name="Ignore*")], {}, id="a detection of Ignore*"),
        pytest.param([drawn(disc(150, 150))], {}, id="elsewhere"),
        pytest.param(
            [rows(shapely.box(0, 0, 9, 9), kind=ObjectType.TILE)], {}, id="a tile is no object"
        ),
        pytest.param([drawn(shapely.LineString([(0, 0), (50, 50)]))], {}, id="a line is none"),
    ],
)
def test_origins(tables, counts):
    nothing = {"drawn": 0, "corrected": 0, "classified": 0, "accepted": 0}
    assert collect(*tables).counts == nothing | counts


def test_a_class_that_differs_from_the_prediction_was_chosen():
    table = predicted(disc(20, 20), disc(50, 50), name="Tumor")
    classes = ClassScheme.of("Tumor", "Stroma")
    changed = table.with_columns(classes=classes, class_id=np.array([0, 1], np.int32))
    found = collect(changed)
    assert found.origin.tolist() == [Origin.ACCEPTED, Origin.CLASSIFIED]
    assert found.objects.class_names.tolist() == ["Tumor", "Stroma"]


def test_a_point_gives_its_class_and_one_in_no_object_is_counted():
    dots = shapely.MultiPoint([(21, 21), (80, 80), (150, 150)])
    found = collect(predicted(disc(20, 20), name="Tumor"), drawn(dots, name="Stroma"))
    assert found.objects.class_names.tolist() == ["Stroma"]
    assert found.n_loose_points == 1


def test_an_object_on_the_edge_belongs_to_the_region_of_its_centroid():
    found = collect(drawn(disc(97, 50), disc(103, 50)))
    assert found.is_owned.tolist() == [True, False]
    assert len(found.objects) == 2
    assert found.counts["drawn"] == 1


@given(st.sets(st.tuples(st.integers(10, 190), st.integers(10, 190)), max_size=10))
def test_of_regions_side_by_side_one_owns_each_object(spots):
    """Also those whose centroid lies on the edge, or where four corners meet."""
    regions = [
        QueriedRegion.of_box(IMAGE, Box(x, y, 100, 100), status=QueryStatus.DONE)
        for x in (0, 100)
        for y in (0, 100)
    ]
    shapes = [shapely.box(x - 2, y - 2, x + 2, y + 2) for x, y in spots]
    table = ObjectTable.concat([regions_as_table(regions), rows(*shapes)])
    assert sum(e.is_owned.sum() for e in collect_regions(IMAGE, table)) == len(spots)


def test_an_ignored_area_gives_no_objects_and_no_loss():
    fold = drawn(shapely.box(50, 0, 100, 100), name="Ignore*")
    found = collect(fold, predicted(disc(20, 20), disc(70, 70)))
    assert found.counts["accepted"] == 1
    assert found.known.area == pytest.approx(5000)
    assert len(found.ignored) == 1


@pytest.mark.parametrize(
    "area",
    [
        pytest.param(shapely.box(-10, -10, 500, 500), id="covers the region"),
        pytest.param(shapely.box(5, 5, 60, 60), id="holds several objects"),
    ],
)
def test_areas_are_no_objects(area):
    found = collect(drawn(area, name="Tumor"), drawn(disc(20, 20), disc(40, 40)))
    assert (len(found.areas), found.counts["drawn"]) == (1, 2)


def test_a_gland_around_few_predictions_is_an_area():
    found = collect(drawn(shapely.box(5, 5, 95, 95)), predicted(disc(20, 20), disc(70, 70)))
    assert (len(found.areas), found.counts["accepted"]) == (1, 2)


def test_predictions_that_are_gone_are_counted():
    region = QueriedRegion.of_box(
        IMAGE, Box(0, 0, 100, 100), status=QueryStatus.DONE, n_predictions=3
    )
    assert collect(predicted(disc(20, 20)), region=region).n_removed == 2


def test_for_a_trainer_that_knows_boxes():
    outline = shapely.Polygon([(10, 10), (90, 10), (10, 90)])
    region = QueriedRegion(UUID(int=7), IMAGE, outline, QueryStatus.DONE, round_number=4)
    found = collect(drawn(disc(20, 20)), region=region).labelled("image 1")
    assert (found.image, found.region, found.round) == ("image 1", Box(10, 10, 80, 80), 4)
    assert found.ignored.areas_px.sum() == pytest.approx(3200)
    assert len(found.objects) == 1


def test_pairs_that_show_the_same_thing():
    one, other = drawn(disc(20, 20), disc(80, 80)), predicted(disc(22, 20), disc(50, 50))
    assert overlapping(one, other).tolist() == [[0, 0]]
    assert len(overlapping(one, ObjectTable.empty())) == 0
