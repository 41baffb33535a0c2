"""Rounds published to a project and collected from it, in memory."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import (
    Box,
    CancelToken,
    ClassScheme,
    Contours,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
    QueriedRegion,
    QueryStatus,
    regions_as_table,
    regions_in,
    result_of,
)
from napari_histo.errors import BridgeError, Cancelled
from napari_histo.testing.fake_bridge import FakeBridge
from qupath_bridge._differences import differences
from qupath_bridge._publish import plan_publish
from qupath_bridge.rounds import collecting, publishing

SCHEME = ClassScheme.of("Tumor", "Stroma")


def disc(x, y, radius=8.0):
    return shapely.Point(x, y).buffer(radius, 8)


def objects(*shapes, kind=ObjectType.DETECTION, class_id=0, **columns):
    contours = Contours.from_shapely(shapes)
    return ObjectTable.build(
        contours, classes=SCHEME, object_type=kind, class_id=class_id, **columns
    )


def drawn(*shapes, class_id=0):
    return objects(*shapes, kind=ObjectType.ANNOTATION, class_id=class_id, state=ObjectState.DRAWN)


def project(*tables):
    return FakeBridge({f"slide {i}": table for i, table in enumerate(tables)})


def region(bridge, box, image=0, **rest):
    return QueriedRegion.of_box(bridge.images()[image], box, **rest)


def publish(bridge, regions, predictions=None, **rest):
    named = None if predictions is None else {regions[0].image.entry_id: predictions}
    return result_of(publishing(bridge, regions, named, **rest))


def with_class(table, rows, name):
    classes = table.classes.union(ClassScheme.of(name))
    class_id = table.class_id.copy()
    class_id[rows] = classes.names.index(name)
    return table.with_columns(classes=classes, class_id=class_id)


def finish(bridge, name="Region: done"):
    """A person gives every region of the first image another class."""
    image = bridge.images()[0]
    table = bridge.read_objects(image)
    rows = [table.rows_of([r.region_id])[0] for r in regions_in(image, table)]
    bridge.write_objects(image, with_class(table, rows, name), "replace")


def unchanged(before, after):
    """Every object of `before` stands in `after` as it was."""
    found = differences(before, after)
    return not len(found.changed) and not len(found.missing)


boxes = st.builds(
    Box, st.integers(0, 300), st.integers(0, 300), st.integers(20, 90), st.integers(20, 90)
)
spots = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=8, unique=True)


# -- laws ----------------------------------------------------------------------------------------


@given(st.lists(boxes, min_size=1, max_size=3), spots, spots)
def test_what_is_published_comes_back_and_nothing_of_a_person_changes(boxes, theirs, ours):
    mine = drawn(*[disc(*xy) for xy in theirs], class_id=1)
    bridge = project(mine)
    regions = [
        region(bridge, box, round_number=3, rank=i + 1, score=0.5, reason="unsure")
        for i, box in enumerate(boxes)
    ]
    predictions = objects(*[disc(*xy) for xy in ours])
    (done,) = publish(bridge, regions, predictions, model="m")
    table = bridge.read_objects(bridge.images()[0])
    assert unchanged(mine, table)
    assert len(table) == len(mine) + len(regions) + done.plan.n_predictions
    (found,) = result_of(collecting(bridge))
    expected = {r.region_id: r for r in regions}
    for got in found.regions:
        assert replace(got, n_predictions=0) == expected.pop(got.region_id)
    assert not expected
    assert sum(r.n_predictions for r in found.regions) == done.plan.n_predictions
    assert found.facts == done.facts


@given(st.lists(boxes, min_size=1, max_size=3), spots)
def test_publishing_twice_changes_nothing(boxes, ours):
    bridge = project(ObjectTable.empty())
    regions = [region(bridge, box, round_number=1, rank=i + 1) for i, box in enumerate(boxes)]
    predictions = objects(*[disc(*xy) for xy in ours])
    publish(bridge, regions, predictions)
    before = bridge.read_objects(bridge.images()[0])
    (again,) = publish(bridge, regions, predictions)
    assert len(again.plan.upserts) == 0
    assert again.plan.known == tuple(regions)
    assert bridge.read_objects(bridge.images()[0]) is before


# -- one case after the other --------------------------------------------------------------------


def test_a_prediction_deleted_by_a_person_does_not_come_back():
    bridge = project(ObjectTable.empty())
    image, regions = bridge.images()[0], [region(bridge, Box(0, 0, 100, 100))]
    predictions = objects(disc(20, 20), disc(60, 60))
    publish(bridge, regions, predictions)
    table = bridge.read_objects(image)
    kept = [i for i, key in enumerate(table.uuids()) if key != predictions.uuid(0)]
    bridge.write_objects(image, table.select(kept), "replace")
    publish(bridge, regions, predictions)
    assert len(bridge.read_objects(image)) == 2
    finish(bridge)
    (found,) = result_of(collecting(bridge))
    (example,) = found.examples
    assert (example.n_removed, example.counts["accepted"]) == (1, 1)


def test_a_region_done_here_is_done_there_and_keeps_what_was_made_of_it():
    bridge = project(ObjectTable.empty())
    image, first = bridge.images()[0], region(bridge, Box(0, 0, 100, 100), round_number=1, rank=1)
    publish(bridge, [first])
    table = bridge.read_objects(image)
    named = {first.region_id: replace(table.details_of(0), name="mine")}
    bridge.write_objects(image, table.with_columns(details=named), "merge")
    (done,) = publish(bridge, [replace(first, status=QueryStatus.DONE)])
    assert done.plan.restated
    (found,) = result_of(collecting(bridge))
    assert found.regions[0].status == QueryStatus.DONE
    assert bridge.read_objects(image).details_of(0).name == "mine"


def test_a_region_done_there_stays_done():
    bridge = project(ObjectTable.empty())
    regions = [region(bridge, Box(0, 0, 100, 100))]
    publish(bridge, regions)
    finish(bridge)
    publish(bridge, regions)
    assert result_of(collecting(bridge))[0].regions[0].status == QueryStatus.DONE


def test_an_id_that_is_something_else_there_is_left_alone():
    other = drawn(disc(50, 50))
    bridge = project(other)
    taken = region(bridge, Box(0, 0, 9, 9), region_id=other.uuid(0))
    (done,) = publish(bridge, [taken])
    assert done.plan.blocked == (taken,)
    assert unchanged(other, bridge.read_objects(bridge.images()[0]))


def test_predictions_where_a_person_drew_are_left_out_but_not_in_a_tissue_area():
    tissue, nucleus = drawn(shapely.box(-50, -50, 500, 500)), drawn(disc(20, 20))
    bridge = project(ObjectTable.concat([tissue, nucleus]))
    predictions = objects(disc(22, 20), disc(60, 60))
    (done,) = publish(bridge, [region(bridge, Box(0, 0, 100, 100))], predictions)
    assert (done.plan.n_predictions, done.plan.n_left_out) == (1, 1)
    ids = bridge.read_objects(bridge.images()[0]).uuids()
    assert predictions.uuid(1) in ids
    assert predictions.uuid(0) not in ids


def test_predictions_say_where_they_come_from():
    cells = objects(disc(20, 20), kind=ObjectType.DETECTION, class_id=1, source="he-nuclei 1.0")
    cells = cells.with_columns(nuclei=Contours.from_shapely([disc(20, 20, 4)]))
    bridge = project(ObjectTable.empty())
    asked = region(bridge, Box(0, 0, 100, 100), round_number=3, rank=2)
    plan = publish(bridge, [asked], cells)[0].plan
    row = plan.upserts.rows_of([cells.uuid(0)])[0]
    assert plan.upserts.object_type[row] == ObjectType.CELL
    assert plan.upserts.measurements["Round"][row] == 3
    details = plan.upserts.details_of(row)
    assert details.metadata == {"Model": "he-nuclei 1.0", "Predicted class": "Stroma"}
    assert details.parent_id == asked.region_id


def test_drawn_objects_of_the_file_are_no_predictions():
    bridge = project(ObjectTable.empty())
    (done,) = publish(bridge, [region(bridge, Box(0, 0, 100, 100))], drawn(disc(20, 20)))
    assert done.plan.n_predictions == 0


def area_published_beside(theirs):
    """A predicted area of tissue after it was published to a project; no row where it was not."""
    kind, state = ObjectType.ANNOTATION, ObjectState.PREDICTED
    ours = objects(shapely.box(10, 10, 60, 60), kind=kind, state=state)
    bridge = project(theirs)
    publish(bridge, [region(bridge, Box(0, 0, 100, 100), round_number=2)], ours, model="m")
    table = bridge.read_objects(bridge.images()[0])
    return table.select(table.rows_of(ours.uuids()))


def test_areas_of_tissue_stay_annotations_and_say_what_they_were():
    found = area_published_beside(ObjectTable.empty())
    assert found.object_type.tolist() == [ObjectType.ANNOTATION]
    assert found.state.tolist() == [ObjectState.PREDICTED]
    words = found.details_of(0).metadata
    assert (words["Model"], words["Predicted class"]) == ("m", "Tumor")
    assert words["Predicted outline"] == "2500.0 35.00 35.00"
    assert found.measurements["Round"].tolist() == [2]


@pytest.mark.parametrize(
    ("theirs", "n"),
    [
        pytest.param(objects(disc(30, 30), disc(40, 40)), 1, id="nuclei"),
        pytest.param(drawn(disc(35, 35, 4)), 1, id="a small area in it"),
        pytest.param(drawn(shapely.box(-300, -300, 300, 300)), 1, id="a large one around it"),
        pytest.param(drawn(disc(37, 37, 25)), 0, id="the same"),
        pytest.param(drawn(disc(37, 37, 25), class_id=-1), 1, id="an outline that says nothing"),
    ],
)
def test_an_area_is_left_out_only_where_another_shows_the_same(theirs, n):
    assert len(area_published_beside(theirs)) == n


def test_a_dry_run_writes_nothing():
    bridge = project(ObjectTable.empty())
    (would,) = publish(bridge, [region(bridge, Box(0, 0, 9, 9))], dry_run=True)
    assert len(would.plan.new) == would.facts.n_to_annotate == 1
    assert len(bridge.read_objects(bridge.images()[0])) == 0


def test_several_images_one_after_the_other():
    bridge = project(ObjectTable.empty(), ObjectTable.empty(), ObjectTable.empty())
    regions = [region(bridge, Box(0, 0, 50, 50), image=i, round_number=1) for i in (2, 0)]
    steps = []
    work = publishing(bridge, regions)
    with pytest.raises(StopIteration):
        while True:
            steps.append(next(work).message)
    assert steps == ["slide 2", "slide 0"]
    assert [c.image.name for c in result_of(collecting(bridge))] == ["slide 0", "slide 2"]


def test_cancelled_between_images():
    bridge, cancel = project(ObjectTable.empty(), ObjectTable.empty()), CancelToken()
    regions = [region(bridge, Box(0, 0, 50, 50), image=i) for i in (0, 1)]
    work = publishing(bridge, regions, cancel=cancel)
    next(work)
    cancel.cancel()
    with pytest.raises(Cancelled, match="slide 1"):
        result_of(work)
    assert [len(bridge.read_objects(e)) for e in bridge.images()] == [1, 0]


def test_doubled_ids_are_named():
    bridge = project(ObjectTable.empty())
    twice = [region(bridge, Box(0, 0, 9, 9), region_id=UUID(int=5))] * 2
    with pytest.raises(BridgeError, match="00000005"):
        publish(bridge, twice)


def test_nothing_to_publish():
    assert len(plan_publish(drawn(disc(9, 9)), []).upserts) == 0


def test_the_other_class_of_a_row_keeps_all_else():
    table = regions_as_table([region(project(ObjectTable.empty()), Box(0, 0, 9, 9))])
    extra = Details(name="n", rgb=(1, 2, 3), metadata={"k": "v"})
    table = table.with_columns(
        details={table.uuid(0): extra}, measurements={"Mine": np.array([4.0])}
    )
    bridge = project(table)
    asked = replace(regions_in(bridge.images()[0], table)[0], status=QueryStatus.SKIPPED)
    publish(bridge, [asked])
    after = bridge.read_objects(bridge.images()[0])
    assert after.details_of(0) == extra
    assert after.measurements["Mine"][0] == 4
    assert after.class_names.tolist() == ["Region: skipped"]


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        pytest.param([], "holds no object", id="empty"),
        pytest.param([disc(20, 20)], None, id="fine"),
    ],
)
def test_remarks(shapes, said):
    bridge = project(drawn(*shapes))
    publish(bridge, [region(bridge, Box(0, 0, 99, 99), status=QueryStatus.DONE, round_number=1)])
    (found,) = result_of(collecting(bridge))
    assert [said in text for text in found.remarks] == ([True] if said else [])


def test_training_and_validation_must_not_overlap():
    bridge = project(drawn(shapely.box(0, 0, 90, 90), shapely.box(50, 50, 200, 200)))
    image = bridge.images()[0]
    table = with_class(bridge.read_objects(image), [0], "Training")
    bridge.write_objects(image, with_class(table, [1], "Validation"), "replace")
    (found,) = result_of(collecting(bridge))
    assert any("overlap" in text for text in found.remarks)
