"""Files of rounds: what is to be published, and what was collected."""

from __future__ import annotations

import json
from uuid import UUID

import numpy as np
import pytest
import shapely

from napari_histo.core import (
    Box,
    ClassScheme,
    Contours,
    ObjectState,
    ObjectTable,
    ObjectType,
    QueriedRegion,
    QueryStatus,
    collect_regions,
    regions_as_table,
)
from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError
from napari_histo.learning.tissue.collecting import labelled_areas
from napari_histo.store.geojson import read_geojson, write_geojson
from qupath_bridge._publish import plan_publish
from qupath_bridge.project import open_project
from qupath_bridge.rounds import Collected
from qupath_bridge.rounds_files import image_of_file, read_collected, read_request, write_collected
from support.qupath_projects import image, leaf, make_project

IMAGE = ImageEntry("1", "slide 1.svs", "file:///slide%201.svs")


def disc(x, y, radius=8.0):
    return shapely.Point(x, y).buffer(radius, 8)


def objects(*shapes, name=None, kind=ObjectType.DETECTION):
    drawn = kind == ObjectType.ANNOTATION
    return ObjectTable.build(
        Contours.from_shapely(shapes),
        classes=ClassScheme.of(name) if name else ClassScheme(),
        object_type=kind,
        state=ObjectState.DRAWN if drawn else ObjectState.PREDICTED,
    )


def drawn(*shapes, name=None):
    return objects(*shapes, name=name, kind=ObjectType.ANNOTATION)


@pytest.fixture
def project(tmp_path):
    names = ["slide 1.svs", "slide 1.svs (b)", "b.ome.tif", "renamed"]
    uris = ["file:/a/slide%201.svs", "file:/b/slide%201.svs", "file:/b.ome.tif", "file:/old.tif"]
    images = [
        image(i + 1, leaf(uri), imageName=name)
        for i, (name, uri) in enumerate(zip(names, uris, strict=True))
    ]
    return open_project(make_project(tmp_path, images))


@pytest.mark.parametrize(
    ("file", "name", "found"),
    [
        pytest.param("b.geojson", None, "3", id="without the suffix"),
        pytest.param("b.ome.tif.geojson.gz", None, "3", id="with it"),
        pytest.param("old.geojson", None, "4", id="called as the image file"),
        pytest.param("slide 1.svs (b).geojson", None, "2", id="the whole name"),
        pytest.param("any.geojson", "slide 1.svs", "1", id="named"),
    ],
)
def test_the_image_of_a_file(project, tmp_path, file, name, found):
    assert image_of_file(project.images(), tmp_path / file, name).entry_id == found


@pytest.mark.parametrize(
    ("file", "name", "said"),
    [
        pytest.param("slide 1.geojson", None, "2 images called as slide 1.geojson", id="two"),
        pytest.param("c.geojson", None, "no images called as c.geojson", id="none"),
        pytest.param("b.geojson", "c", "no images named c", id="no such name"),
    ],
)
def test_no_image_or_several(project, tmp_path, file, name, said):
    with pytest.raises(BridgeError, match=said):
        image_of_file(project.images(), tmp_path / file, name)


def test_plain_rectangles_become_regions_of_the_round_given(tmp_path):
    file = tmp_path / "a.geojson"
    boxes = [shapely.box(0, 0, 50, 50), shapely.box(60, 0, 90, 50)]
    write_geojson(file, ObjectTable.concat([drawn(*boxes), objects(disc(20, 20))]))
    regions, table = read_request(file, IMAGE, 4, "Ada")
    assert [(r.round_number, r.rank, r.annotator) for r in regions] == [
        (4, 1, "Ada"),
        (4, 2, "Ada"),
    ]
    assert [r.box for r in regions] == [Box(0, 0, 50, 50), Box(60, 0, 30, 50)]
    assert {r.region_id for r in regions} < set(table.uuids())


def test_regions_keep_their_own_round_and_other_annotations_are_none(tmp_path):
    file = tmp_path / "a.geojson"
    asked = QueriedRegion.of_box(IMAGE, Box(0, 0, 9, 9), round_number=2, rank=5, score=0.25)
    others = drawn(disc(50, 50))
    write_geojson(file, ObjectTable.concat([regions_as_table([asked]), others]))
    assert read_request(file, IMAGE, 7)[0] == [asked]


def test_a_file_without_regions_is_refused(tmp_path):
    file = tmp_path / "a.geojson"
    write_geojson(file, objects(disc(9, 9), name="Tumor"))
    with pytest.raises(BridgeError, match="holds no region"):
        read_request(file, IMAGE)


def collected():
    region = QueriedRegion.of_box(
        IMAGE,
        Box(0, 0, 100, 100),
        region_id=UUID(int=77),
        status=QueryStatus.DONE,
        round_number=3,
        rank=1,
        reason="unsure",
    )
    parts = [
        regions_as_table([region]),
        drawn(disc(20, 20), disc(98, 50), name="Tumor"),
        objects(disc(40, 60), disc(80, 80), disc(102, 20)),
        drawn(shapely.Point(40, 60), name="Stroma"),
        drawn(shapely.box(70, 70, 100, 100), name="Ignore*"),
    ]
    table = ObjectTable.concat(parts)
    return Collected(IMAGE, [region], collect_regions(IMAGE, table))


def test_a_collected_file_is_collected_alike(tmp_path):
    found = collected()
    write_collected(tmp_path, [found])
    (again,) = read_collected(tmp_path)
    (first,) = found.examples
    assert again.query == first.query
    assert sorted(again.objects.uuids()) == sorted(first.objects.uuids())
    assert again.known.equals(first.known)
    rows = again.objects.rows_of(first.objects.uuids())
    assert again.is_owned[rows].tolist() == first.is_owned.tolist()
    names = again.objects.class_names[rows].tolist()
    assert names == first.objects.class_names.tolist()
    assert "Stroma" in names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param('{"format": "another"}', "'another'", id="another format"),
        pytest.param(
            '{"format": "napari-histo collected regions 1", "regions": [{}]}', "damaged", id="torn"
        ),
    ],
)
def test_a_folder_that_is_none(tmp_path, text, said):
    if text is not None:
        (tmp_path / "regions.json").write_text(text)
    with pytest.raises(BridgeError, match=said):
        read_collected(tmp_path)


def test_the_listing_says_what_each_file_holds(tmp_path):
    write_collected(tmp_path / "made", [collected()])
    listing = json.loads((tmp_path / "made" / "regions.json").read_text())
    (words,) = listing["regions"]
    assert words["image"] == {"id": "1", "name": "slide 1.svs", "uri": "file:///slide%201.svs"}
    assert (words["round"], words["rank"], words["box"]) == (3, 1, [0, 0, 100, 100])
    assert words["objects"] == {"drawn": 2, "corrected": 0, "classified": 1, "accepted": 0}
    assert (tmp_path / "made" / words["file"]).is_file()


def test_the_same_again_gives_the_same_bytes(tmp_path):
    found = collected()
    files = []
    for name in ("a", "b"):
        (words,) = write_collected(tmp_path / name, [found])
        files.append((tmp_path / name / words["file"]).read_bytes())
    assert files[0] == files[1]


def test_origins_are_in_the_file(tmp_path):
    (words,) = write_collected(tmp_path, [collected()])
    table = read_geojson(tmp_path / words["file"])
    said = {d.metadata["Origin"] for d in table.details.values() if "Origin" in d.metadata}
    assert said == {"drawn", "classified", "accepted"}
    states = {ObjectState(s) for s in np.unique(table.state)}
    assert ObjectState.PREDICTED not in states


@pytest.mark.parametrize("over", ["Tumor", "Ignore*"])
def test_what_is_left_of_an_area_that_was_painted_over_is_collected(tmp_path, over):
    """An object with a drawing in its middle would be replaced; of an area the rest counts."""
    region = QueriedRegion.of_box(IMAGE, Box(0, 0, 60, 60), round_number=1, rank=1)
    kind, state = ObjectType.ANNOTATION, ObjectState.PREDICTED
    area = ObjectTable.build(
        Contours.from_shapely([shapely.box(0, 0, 60, 40)]),
        classes=ClassScheme.of("Stroma"),
        class_id=[0],
        object_type=kind,
        state=state,
    )
    plan = plan_publish(ObjectTable.empty(), [region], area, model="m")
    hand = drawn(shapely.box(20, 10, 40, 30), name=over).with_columns(
        class_id=np.zeros(1, np.int32)
    )
    table = ObjectTable.concat([plan.upserts, hand])
    classes = table.classes.union(ClassScheme.of("Region: done"))
    done = table.class_id.copy()
    done[table.rows_of([region.region_id])] = classes.names.index("Region: done")
    table = table.with_columns(classes=classes, class_id=done)
    (example,) = collect_regions(IMAGE, table)
    write_collected(tmp_path, [Collected(IMAGE, [example.query], [example])])
    (again,) = read_collected(tmp_path)
    for one in (example, again):
        labels = labelled_areas(one, "slide 1").objects
        found = dict(zip(labels.class_names, labels.areas_px.round(), strict=True))
        assert found == {"Stroma": 2000, over: 400}
        assert area.uuid(0) not in one.objects.uuids(), "no nucleus"
