"""Our measurements bear QuPath's names and have its values, measured by QuPath itself.

Needs paquo and a QuPath where paquo finds it; skipped with the reason otherwise.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from napari_histo.core import Contours, ObjectTable, ObjectType, PixelSize
from napari_histo.pipeline.measure import MeasureRequest, measure
from napari_histo.slides import open_slide
from napari_histo.store import load_objects, save_objects
from qupath_bridge.locate import find_qupath, searched_places
from support.lattice import finish

pytestmark = [pytest.mark.qupath, pytest.mark.slow]

CHILD = Path(__file__).with_name("measure_with_qupath.py")
SIZE_UM = 0.25


def star(rng, x, y, radius):
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    r = radius * rng.uniform(0.7, 1.3, 32)
    return shapely.Polygon(np.stack([x + r * np.cos(angle), y + r * np.sin(angle)], 1))


def shapes(rng):
    """100 stars on a lattice: cells with nuclei, holes, objects of two parts."""
    places = [(25 + 50 * i, 25 + 50 * j) for j in range(10) for i in range(10)]
    cells = [star(rng, x, y, rng.uniform(10, 17)) for x, y in places]
    nuclei = [star(rng, x, y, rng.uniform(4, 6)) for x, y in places]
    for i in range(0, 100, 5):
        x, y = places[i]
        cells[i] = star(rng, x, y, 15) - shapely.Point(x, y).buffer(4)
        cells[i + 1] = shapely.union(star(rng, x + 40, y, 6), shapely.Point(x + 60, y).buffer(5))
    return cells, nuclei


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Our table, and QuPath's values by id."""
    if importlib.util.find_spec("paquo") is None:
        pytest.skip("paquo is not installed: pip install 'napari-histo[qupath]'")
    install = find_qupath()
    if install is None:
        pytest.skip(f"no QuPath in {', '.join(map(str, searched_places()))}; set PAQUO_QUPATH_DIR")
    folder, rng = tmp_path_factory.mktemp("measured"), np.random.default_rng(0)
    colours = rng.integers(40, 255, (63, 63, 3)).astype(np.uint8)
    picture = Image.fromarray(colours).resize((500, 500), Image.Resampling.BICUBIC)
    picture.save(folder / "image.png")
    cells, nuclei = shapes(rng)
    whole = np.arange(100) % 5 > 1
    nuclei = [n if w else shapely.Polygon() for n, w in zip(nuclei, whole, strict=True)]
    table = ObjectTable.build(
        Contours.from_shapely(cells),
        nuclei=Contours.from_shapely(nuclei),
        object_type=np.where(whole, ObjectType.CELL, ObjectType.DETECTION),
    )
    save_objects(folder / "objects.geojson", table)
    arguments = [folder / "image.png", folder / "objects.geojson", SIZE_UM]
    answer = subprocess.run(
        [sys.executable, str(CHILD), *map(str, arguments)],
        env={**os.environ, **install.environment()},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    request = MeasureRequest(PixelSize.square(SIZE_UM), compartment="", neighbours=False)
    with open_slide(folder / "image.png") as reader:
        ours = finish(measure(reader, load_objects(folder / "objects.geojson"), request))[0].table
    return ours, json.loads(answer.stdout)


def compared(both, part):
    """(name, ours, QuPath's) of the columns whose name holds `part`."""
    ours, theirs = both
    found = {}
    for name, values in ours.measurements.items():
        if part in name:
            seen = [theirs[str(key)].get(name, np.nan) for key in ours.uuids()]
            found[name] = values, np.array(seen)
    return found


def test_names_are_qupaths(both):
    ours, theirs = both
    known = {name for values in theirs.values() for name in values}
    assert set(ours.measurements) <= known
    # What we leave out.
    assert {n for n in known - set(ours.measurements) if not n.endswith("Variance")} == set()


@pytest.mark.parametrize(
    "part", ["Area", "Length", "Circularity", "Solidity", "Max diameter", "Min diameter", "ratio"]
)
def test_shapes_are_qupaths(both, part):
    found = compared(both, part)
    assert found
    for name, (ours, theirs) in found.items():
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("part", ["Nucleus: Mean", "Cell: Mean", "Cytoplasm: Mean", "n: Mean"])
def test_stains_are_qupaths(both, part):
    """The same but for a pixel now and then, whose centre lies on an outline."""
    for name, (ours, theirs) in compared(both, part).items():
        known = np.isfinite(ours)
        assert known.any()
        assert (known == np.isfinite(theirs)).all()
        gap = np.abs(ours - theirs)[known]
        assert np.median(gap) < 1e-6, name
        assert gap.max() < 0.02, name
