"""The same weights give the same labels here and in the stardist package on TensorFlow.

The package runs in a child process, from the extra `parity`; without TensorFlow these tests skip.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_histo.core import PixelSize
from napari_histo.models import load_model
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader
from support.lattice import finish

pytestmark = pytest.mark.slow

_CHILD = Path(__file__).with_name("parity_child.py")
_PYTHON = os.environ.get("NAPARI_HISTO_PARITY_PYTHON", sys.executable)
_PLAIN = {"n_classes": None, "grid": 2, "batch_norm": False, "channels": 3}
_CASES = {
    "rgb": _PLAIN | {"seed": 1},
    "gray-grid1": _PLAIN | {"seed": 2, "grid": 1, "channels": 1},
    "grid4": _PLAIN | {"seed": 3, "grid": 4},
    "batch-norm": _PLAIN | {"seed": 4, "batch_norm": True},
    "multi-class": _PLAIN | {"seed": 5, "n_classes": 3},
}


def real_image(channels):
    """StarDist's own H&E picture, cut to a size that no grid divides."""
    from stardist.data import test_image_he_2d

    image = test_image_he_2d()[:237, :301].astype(np.float32) / 255
    return image if channels == 3 else image[..., :1]


@pytest.fixture(scope="module")
def package_runs(tmp_path_factory):
    """Folder with the package's model and answer for every case."""
    has_tensorflow = [_PYTHON, "-c", "import importlib.util as u; assert u.find_spec('tensorflow')"]
    if subprocess.run(has_tensorflow, capture_output=True, check=False).returncode:
        pytest.skip("TensorFlow is not installed; get it with: pip install 'napari-histo[parity]'")
    folder = tmp_path_factory.mktemp("parity")
    (folder / "cases.json").write_text(json.dumps(_CASES))
    for name, case in _CASES.items():
        (folder / name).mkdir()
        image = real_image(case["channels"])
        np.save(folder / name / "image.npy", image if image.shape[2] == 3 else image[..., 0])
    command = [_PYTHON, str(_CHILD), str(folder)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    return folder


def our_objects(model, image):
    """What the model keeps of the whole image, likeliest first, as the package lists it."""
    found = model.propose(image[None], model.info.thresholds.prob)[0]
    padded = -(-np.array(image.shape[1::-1]) // model.align_px) * model.align_px
    off_rim = (found.points >= model.edge_px) & (found.points < padded - model.edge_px)
    found = found.take(off_rim.all(axis=1))
    found = found.take(model.select(found, model.info.thresholds))
    return found.take(np.argsort(-found.prob, kind="stable"))


@pytest.mark.parametrize("name", _CASES)
def test_same_labels_as_the_package(package_runs, name):
    from stardist.geometry import polygons_to_label

    image, theirs = real_image(_CASES[name]["channels"]), np.load(package_runs / name / "found.npz")
    model = load_model(str(package_runs / name / "model"), device="cpu", precision="float32")
    ours = our_objects(model, image)
    assert len(theirs["prob"]) > 20
    np.testing.assert_allclose(ours.prob, theirs["prob"], atol=1e-4)
    labels = polygons_to_label(
        ours.columns["dist"], ours.points[:, ::-1], prob=ours.prob, shape=image.shape[:2]
    )
    # Numbers follow the order of drawing; objects of equal probability may swap theirs.
    assert same_partition(labels, theirs["labels"])
    if _CASES[name]["n_classes"]:
        assert (model.draw(ours).class_id + 1).tolist() == theirs["class_id"].tolist()


def same_partition(a, b):
    """True where two label images differ by a renaming at most."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    ours, theirs = pairs
    return len(set(ours)) == len(ours) == len(set(theirs)) and (0, 0) in zip(
        ours.tolist(), theirs.tolist(), strict=True
    )


def test_the_pipeline_finds_the_same_objects(package_runs):
    """Through tiles and our own outlines; the range 0..1 makes normalisation the identity."""
    image, theirs = real_image(3), np.load(package_runs / "rgb" / "found.npz")
    model = load_model(str(package_runs / "rgb" / "model"), device="cpu", precision="float32")
    model._percentiles = None
    reader = ArrayReader(image, name="he", pixel_size=PixelSize.square(0.25), is_rgb=True)
    table = finish(segment(reader, model, SegmentRequest(tile_px=64)))[0].table
    corners = theirs["coord"][:, ::-1].transpose(0, 2, 1) + 0.5
    assert len(table) == len(corners)
    # Ours are cut off at the image's edge, those of the package are not.
    size = np.array(image.shape[1::-1])
    corners = corners[((corners > 0) & (corners < size)).all(axis=(1, 2))]
    within = ((table.contours.bounds[:, :2] > 0) & (table.contours.bounds[:, 2:] < size)).all(
        axis=1
    )
    rings = np.stack([table.contours.ring(i)[:-1] for i in np.flatnonzero(within)])
    assert len(rings) == len(corners)
    apart, partner = cKDTree(corners.reshape(len(corners), -1)).query(rings.reshape(len(rings), -1))
    assert len(set(partner.tolist())) == len(rings)
    assert apart.max() < 0.05
