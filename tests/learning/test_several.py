"""A region that several people did: one truth, each one's labels beside it, and their agreement."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import shapely

from napari_histo.cli.learn_images import collected_in
from napari_histo.core import ClassScheme, Contours, ObjectState, ObjectTable, ObjectType
from napari_histo.core.round_regions import ANNOTATOR, region_rows
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.store.geojson import read_geojson, write_geojson
from support.learning import FAKES, annotate, contents, drive, make_project

CLASSES = ClassScheme.of("Tumor", "Stroma")
#: Circles (x, y, radius) from the corner of a region of 32 px.
THREE = ((6, 6, 4), (16, 16, 4), (26, 26, 4))


@pytest.fixture
def project(tmp_path):
    """A round is asked for, two regions to learn from."""
    made = make_project(tmp_path)
    drive(query(made, QueryWish("random", 2), FAKES))
    return made


def draw_in_all(folder, circles, *, who="", classes=(0,), status="Region: done"):
    """Somebody's answer in every region of a folder of work: circles instead of predictions."""
    for path in folder.glob("*.geojson"):
        table = read_geojson(path)
        names = table.classes.union(CLASSES)
        regions = table.select(region_rows(table)).with_columns(classes=names)
        keys = regions.uuids()
        words = {ANNOTATOR: who} if who else {}
        details = {k: replace(regions.details[k], metadata=words) for k in keys}
        n = len(regions)
        regions = regions.with_columns(
            class_id=np.full(n, names.names.index(status), np.int32), details=details
        )
        shapes = [
            shapely.Point(left + x, top + y).buffer(r)
            for left, top in regions.contours.bounds[:, :2]
            for x, y, r in circles
        ]
        drawn = ObjectTable.build(
            Contours.from_shapely(shapes),
            classes=CLASSES,
            class_id=np.resize(np.array(classes, np.int32), len(shapes)),
            object_type=ObjectType.ANNOTATION,
            state=ObjectState.DRAWN,
        )
        write_geojson(path, ObjectTable.concat([regions, drawn]))


def copies(project, tmp_path, *answers):
    """Copies of the work of others, each with circles drawn by a person; as `--from` reads them."""
    gathered = []
    for n, (name, answer) in enumerate(answers):
        folder = tmp_path / f"copy-{n}"
        shutil.copytree(project.work_path(1), folder)
        draw_in_all(folder, answer, who=name)
        gathered.append(collected_in(folder, project))
    return gathered


def words_of(found):
    return json.loads((found.path / "labels" / "labels.json").read_text())


def test_what_most_outlined_is_kept_and_each_ones_labels_beside_it(project, tmp_path):
    draw_in_all(project.work_path(1), THREE, who="Ada")
    others = copies(project, tmp_path, ("Ben", THREE[:2]), ("Cleo", THREE[:2]))
    kept = collect(project, others).labels()
    assert kept
    for region in kept:
        assert len(region.labels.objects) == 2
        assert region.labels.annotator == "Ada, Ben, Cleo"
        assert [e.annotator for e in region.each] == ["Ada", "Ben", "Cleo"]
        assert [len(e.objects) for e in region.each] == [3, 2, 2]
        assert region.consensus["left_out"] == 1
        assert region.consensus["method"] == "majority"
        # 1, 2/3 of F1 with the one who drew three (2 of 3 + 2, by outlines that are the same).
        assert region.consensus["f1"] == pytest.approx((0.8 + 0.8 + 1) / 3, abs=1e-4)
        assert region.consensus["kappa"] is None


@pytest.mark.parametrize(
    ("names", "merging", "n_each", "remark"),
    [
        pytest.param(("Ada", "Ben"), "majority", 2, "merged by majority", id="two people"),
        pytest.param(("Ada", "Ben"), "staple", 2, "merged by staple", id="by reliability"),
        pytest.param(("", ""), "majority", 2, "napari and copy-0 merged", id="nobody said"),
        pytest.param(("", "Ben"), "majority", 2, "napari and Ben merged", id="one said"),
        pytest.param(("Ada", "Ada"), "majority", 0, "the first was taken", id="one person twice"),
        pytest.param(("Ada", "Ben"), "first", 0, "the first was taken", id="no merging wished"),
    ],
)
def test_who_counts_as_another_person(project, tmp_path, names, merging, n_each, remark):
    draw_in_all(project.work_path(1), THREE, who=names[0])
    found = collect(project, copies(project, tmp_path, (names[1], THREE[:1])), merging=merging)
    assert {len(k.each) for k in found.labels()} == {n_each}
    # Of two, what one outlined is kept.
    assert {len(k.labels.objects) for k in found.labels()} == {3}
    remarks = words_of(found)["remarks"]
    assert sum(remark in text for text in remarks) == len(found.labels())


@pytest.mark.parametrize(
    ("mine", "theirs", "kappa", "names"),
    [
        pytest.param((0, 1, 0), (0, 1, 0), 1.0, ["Tumor", "Stroma", "Tumor"], id="alike"),
        pytest.param((0, 1, 0), (1, 1, 0), 0.4, [None, "Stroma", "Tumor"], id="one differs"),
    ],
)
def test_classes_are_agreed_on_too(project, tmp_path, mine, theirs, kappa, names):
    draw_in_all(project.work_path(1), THREE, who="Ada", classes=mine)
    folder = tmp_path / "ben"
    shutil.copytree(project.work_path(1), folder)
    draw_in_all(folder, THREE, who="Ben", classes=theirs)
    for kept in collect(project, [collected_in(folder, project)]).labels():
        assert kept.consensus["kappa"] == pytest.approx(kappa)
        assert kept.labels.objects.class_names.tolist() == names
        assert kept.consensus["disputed"] == names.count(None)


def test_an_outline_that_all_share_is_not_changed(project, tmp_path):
    draw_in_all(project.work_path(1), THREE, who="Ada")
    for kept in collect(project, copies(project, tmp_path, ("Ben", THREE))).labels():
        assert np.array_equal(kept.labels.objects.contours.xy, kept.each[0].objects.contours.xy)


def test_nothing_is_learnt_where_one_could_not_tell(project, tmp_path):
    draw_in_all(project.work_path(1), THREE, who="Ada")
    others = copies(project, tmp_path, ("Ben", THREE[:2]))
    for examples in others[0].examples.values():
        for n, example in enumerate(examples):
            left, top = example.query.box.x, example.query.box.y
            unsure = shapely.box(left + 20, top + 20, left + 32, top + 32)
            examples[n] = replace(example, ignored=Contours.from_shapely([unsure]))
    for kept in collect(project, others).labels():
        assert kept.labels.ignored.areas_px.sum() == pytest.approx(144)
        assert len(kept.labels.objects) == 2
        assert len(kept.each[0].ignored) == 0


def test_regions_that_two_outlined_otherwise_are_not_merged(project, tmp_path):
    draw_in_all(project.work_path(1), THREE, who="Ada")
    others = copies(project, tmp_path, ("Ben", THREE))
    for examples in others[0].examples.values():
        for n, example in enumerate(examples):
            narrower = shapely.buffer(example.query.outline, -4)
            query = replace(example.query, outline=narrower)
            examples[n] = replace(example, query=query)
    found = collect(project, others)
    assert not any(kept.each for kept in found.labels())
    assert any("its outline is another" in text for text in words_of(found)["remarks"])


def test_the_round_goes_on_and_its_files_are_sealed(project, tmp_path):
    draw_in_all(project.work_path(1), THREE, who="Ada")
    found = collect(project, copies(project, tmp_path, ("Ben", THREE[:2])))
    drive(train(project, TrainWish(), FAKES))
    drive(evaluate(project, FAKES))
    assert verify_project(project) == []
    single = next((found.path / "labels").glob("*.annotator-2.parquet"))
    single.write_bytes(single.read_bytes() + b" ")
    assert any(single.name in str(finding) for finding in verify_project(project))


def test_the_same_labels_merge_to_the_same_bytes(project, tmp_path):
    draw_in_all(project.work_path(1), ((16, 16, 6),), who="Ada")
    other = copies(project, tmp_path, ("Ben", ((17, 16, 6),)))
    twin = tmp_path / "twin"
    shutil.copytree(project.path, twin)
    collect(project, other)
    again = type(project)(twin)
    collect(again, other)
    assert contents(project.path) == contents(twin)


def test_one_person_is_no_consensus(project):
    annotate(project)
    found = collect(project)
    assert not any(kept.each or kept.consensus for kept in found.labels())
    assert not any("each" in row for row in found.label_rows)
