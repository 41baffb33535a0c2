"""``napari-histo classify`` from objects with a few classes to objects that all have one."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import shapely
import tifffile

from napari_histo.core import ClassScheme, Contours, ObjectState, ObjectTable, ObjectType
from napari_histo.store import load_objects, save_objects

SCHEME = ClassScheme.of("Nucleus", "Small", "Large")


def nuclei(seed, *, clicked):
    """40 discs, small and large in turn; the first `clicked` have a class that was accepted."""
    rng = np.random.default_rng(seed)
    large = np.arange(40) % 2 == 1
    shapes = [
        shapely.Point(30 + 40 * (i % 8), 30 + 40 * (i // 8)).buffer(
            rng.uniform(8, 10) if large[i] else rng.uniform(4, 6)
        )
        for i in range(40)
    ]
    given = np.arange(40) < clicked
    return ObjectTable.build(
        Contours.from_shapely(shapes),
        classes=SCHEME,
        class_id=np.where(given, large + 1, 0),
        state=np.where(given, ObjectState.ACCEPTED, ObjectState.PREDICTED),
    )


@pytest.fixture
def folder(tmp_path):
    """Two images, and nuclei of each, some of them with a class."""
    for name in ("images", "objects"):
        (tmp_path / name).mkdir()
    for i, name in enumerate(("one", "two")):
        noise = np.random.default_rng(i).integers(150, 250, (220, 360, 3), np.uint8)
        tifffile.imwrite(tmp_path / f"images/{name}.tif", noise, photometric="rgb")
        save_objects(tmp_path / f"objects/{name}.geojson", nuclei(i, clicked=12))
    return tmp_path


def train(cli, folder, *more):
    where = ["--image", folder / "images", "--pixel-size", 0.5]
    return cli("classify", "train", folder / "objects", *where, "-o", folder / "cells", *more)


def test_a_few_clicks_give_all_objects_their_class(cli, folder):
    ran = train(cli, folder)
    assert ran.code == 0, ran.err
    assert "24 examples, 36 features" in ran.out
    assert "on images that were left out" in ran.out
    one = folder / "objects/one.geojson"
    where = ["--image", folder / "images/one.tif", "--pixel-size", 0.5]
    ran = cli("classify", "apply", folder / "cells", one, *where, "-o", folder / "out.geojson")
    assert ran.code == 0, ran.err
    found = load_objects(folder / "out.geojson")
    assert list(found.class_names) == ["Small", "Large"] * 20
    assert np.isnan(found.class_prob).sum() == 12
    assert found.object_id.tobytes() == load_objects(one).object_id.tobytes()
    assert "Nucleus: Area µm^2" in found.measurements


def test_a_folder_of_objects_becomes_a_folder(cli, folder):
    train(cli, folder)
    where = ["--image", folder / "images", "--pixel-size", 0.5]
    ran = cli(
        "classify", "apply", folder / "cells", folder / "objects", *where, "-o", folder / "new"
    )
    assert ran.code == 0, ran.err
    assert sorted(p.name for p in (folder / "new").iterdir()) == ["one.geojson", "two.geojson"]


def test_training_goes_on_with_other_images(cli, folder):
    first = ["--image", folder / "images/one.tif", "--pixel-size", 0.5, "--around", 20]
    one, two = (folder / f"objects/{name}.geojson" for name in ("one", "two"))
    assert cli("classify", "train", one, *first, "-o", folder / "cells").code == 0
    more = ["--image", folder / "images/two.tif", "--pixel-size", 0.5]
    more += ["--add-to", folder / "cells", "-o", folder / "cells"]
    ran = cli("classify", "train", two, *more)
    assert ran.code == 0, ran.err
    assert "24 examples, 36 features" in ran.out
    card = json.loads((folder / "cells/classifier.json").read_text())
    assert card["recipe"]["around_um"] == [20.0]
    assert card["quality"]["left_out"] == "images"


def test_points_of_qupath_are_examples_and_truth(cli, folder):
    train(cli, folder)
    table = nuclei(5, clicked=0)
    points = ObjectTable.build(
        Contours.from_shapely(shapely.points(table.centroids[:6])),
        classes=SCHEME,
        class_id=[1, 2, 1, 2, 1, 1],
        object_type=ObjectType.ANNOTATION,
        state=ObjectState.DRAWN,
    )
    save_objects(folder / "new.geojson", ObjectTable.concat([table, points]))
    where = ["--image", folder / "images/two.tif", "--pixel-size", 0.5]
    ran = cli("classify", "evaluate", folder / "cells", folder / "new.geojson", *where, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["n"], found["accuracy"]) == (6, pytest.approx(5 / 6))
    ran = cli("classify", "evaluate", folder / "cells", folder / "new.geojson", *where)
    assert "accuracy 0.833" in ran.out
    target = folder / "out.geojson"
    ran = cli("classify", "apply", folder / "cells", folder / "new.geojson", *where, "-o", target)
    assert "20 Small, 20 Large" in ran.out
    assert len(load_objects(target)) == 46


def test_measured_objects_need_no_image(cli, folder):
    one, measured = folder / "objects/one.geojson", folder / "measured.parquet"
    assert cli("measure", folder / "images/one.tif", one, "-o", measured).code == 0
    ran = cli("classify", "train", measured, "-o", folder / "cells", "--around", 0)
    assert ran.code == 0, ran.err
    assert "12 examples, 17 features" in ran.out  # without a pixel size no neighbours are counted
    assert "on others it will be worse" in ran.err
    ran = cli("classify", "apply", folder / "cells", measured, "-o", folder / "out.parquet")
    assert ran.code == 0, ran.err


IMAGE = ("--image", "images/one.tif", "--pixel-size", "0.5")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(
            ("train", "objects/one.geojson", "-o", "x"), "no measurements.*--image", id="image"
        ),
        pytest.param(
            ("train", "objects/one.geojson", *IMAGE[:2], "-o", "x"), "--pixel-size UM", id="size"
        ),
        pytest.param(
            ("train", "objects/one.geojson", *IMAGE, "-o", "x.geojson"), "is a folder", id="a-file"
        ),
        pytest.param(
            ("train", "objects/one.geojson", *IMAGE, "-o", "images"), "other files", id="folder"
        ),
        pytest.param(
            ("train", "objects/one.geojson", *IMAGE, "-o", "x", "--network", "classical"),
            "does not show what its last layer sees",
            id="network",
        ),
        pytest.param(
            ("train", "none.geojson", *IMAGE, "-o", "x"), "no examples.*40 have a class", id="none"
        ),
        pytest.param(
            ("train", "objects", "--image", "images/one.tif", "--image", "none.tif", "-o", "x"),
            "none.tif",
            id="no-image",
        ),
        pytest.param(
            ("apply", "cells", "objects/one.geojson", "-o", "out.geojson"),
            "lack 'Nucleus: Area µm\\^2' and 17 other",
            id="features",
        ),
        pytest.param(
            ("apply", "cells", "objects/one.geojson", *IMAGE[:3], "0.25", "-o", "out.geojson"),
            "0.25 µm per pixel, but the classifier learned at 0.5",
            id="pixel-size",
        ),
        pytest.param(
            ("apply", "images", "objects/one.geojson", *IMAGE, "-o", "out.geojson"),
            "holds no classifier",
            id="no-classifier",
        ),
        pytest.param(
            ("apply", "cells", "objects", "-o", "out.geojson"), "a folder for several", id="several"
        ),
        pytest.param(
            ("apply", "cells", "objects/one.geojson", *IMAGE, "-o", "objects/one.geojson"),
            "would overwrite",
            id="itself",
        ),
        pytest.param(
            ("evaluate", "cells", "odd.geojson", *IMAGE),
            "does not know the class 'Odd'",
            id="class",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_message(cli, folder, monkeypatch, words, told):
    train(cli, folder)
    save_objects(folder / "none.geojson", nuclei(0, clicked=0))
    odd = nuclei(0, clicked=6).with_columns(classes=ClassScheme.of("Nucleus", "Odd", "Large"))
    save_objects(folder / "odd.geojson", odd)
    before = sorted(folder.rglob("*"))
    monkeypatch.chdir(folder)
    ran = cli("classify", *words)
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert re.search(told, ran.err, re.DOTALL), ran.err
    assert sorted(folder.rglob("*")) == before
