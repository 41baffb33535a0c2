"""The same masks as the ``cellpose`` package, pixel for pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage as ndi
from scipy.special import logit

from napari_histo.core import Box, ModelInfo, Thresholds, Tile
from napari_histo.models.cellpose.dynamics import find_masks, flow_errors
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from napari_histo.ops.normalize import Normalizer
from support.cellpose_nets import SpotNet, formula_weights
from support.cellpose_package import cellpose_module
from support.same import canonical


@pytest.fixture(scope="module")
def dynamics():
    return cellpose_module("dynamics")


def discs(shape, n, seed):
    """Touching, overlapping labels of all sizes."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for i in range(1, n + 1):
        y, x = rng.uniform((0, 0), shape)
        a, b = rng.uniform(3, 22, 2)
        labels[((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1] = i
    return np.unique(labels, return_inverse=True)[1].reshape(shape).astype(np.int32)


def noisy_fields(dynamics, labels, seed, *, noise):
    """What a middling network might say of these labels."""
    rng = np.random.default_rng(seed)
    flow = dynamics.labels_to_flows([labels.copy()], device=torch.device("cpu"))[0][2:]
    blur = ndi.gaussian_filter(rng.normal(size=flow.shape), (0, 3, 3)) * 8 * noise
    cells = ndi.gaussian_filter(np.where(labels > 0, 4.0, -4.0), 1)
    cells += ndi.gaussian_filter(rng.normal(size=labels.shape), 2) * 5
    return np.concatenate([5 * (flow + blur), cells[None]]).astype(np.float32)


def ours(fields, threshold, flow_threshold):
    extent = Box(0, 0, fields.shape[2], fields.shape[1])
    masks = find_masks(fields, threshold, extent, extent)
    good = np.append(False, masks.errors <= flow_threshold)
    return np.where(good[masks.labels], masks.labels, 0)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.4, 1.0])
@pytest.mark.parametrize(
    ("shape", "n"), [((300, 260), 60), ((97, 411), 25), ((40, 33), 3), ((64, 64), 0)], ids=str
)
@pytest.mark.parametrize(("threshold", "flow_threshold"), [(0.0, 0.4), (-2.0, 0.8), (1.5, 0.2)])
def test_same_masks_from_the_same_flows(dynamics, shape, n, noise, threshold, flow_threshold):
    labels = discs(shape, n, seed=n)
    fields = noisy_fields(dynamics, labels, 5, noise=noise)
    theirs = dynamics.compute_masks(
        fields[:2],
        fields[2],
        cellprob_threshold=threshold,
        flow_threshold=flow_threshold,
        min_size=15,
    )
    differing = canonical(ours(fields, threshold, flow_threshold)) != canonical(theirs)
    # In wild flows a pixel may pass a knife's edge, where single and double precision part.
    assert differing.sum() <= (2 if noise > 0.2 else 0)
    assert noise > 0.2 or bool(theirs.any()) == (n > 0)


def test_same_flow_errors(dynamics):
    labels = discs((200, 200), 30, seed=1)
    fields = noisy_fields(dynamics, labels, 2, noise=0.5)
    theirs, _ = dynamics.flow_error(labels.astype(np.int64), fields[:2], torch.device("cpu"))
    assert flow_errors(labels, fields[:2]) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("data", ["fluorescence"])
def test_same_masks_on_flows_of_real_nuclei(dynamics, data_dir, data):
    """Twelve images of the Data Science Bowl 2018."""
    from PIL import Image

    files = sorted((data_dir / "nuclei" / "dsb2018" / data / "labels").iterdir())[::36]
    assert len(files) >= 12
    for seed, file in enumerate(files):
        truth = np.array(Image.open(file))[:400, :400]
        labels = np.unique(truth, return_inverse=True)[1].reshape(truth.shape).astype(np.int32)
        fields = noisy_fields(dynamics, labels, seed, noise=0.2)
        theirs = dynamics.compute_masks(fields[:2], fields[2], min_size=15)
        assert np.array_equal(canonical(ours(fields, 0.0, 0.4)), canonical(theirs)), file.name


def test_same_masks_through_the_whole_segmenter(dynamics):
    """From pixels: our windows and network, their masks from the same maps."""
    rng = np.random.default_rng(0)
    image = ndi.gaussian_filter((rng.random((420, 300)) > 0.995) * 100.0, 4)
    image = (image / image.max()).astype(np.float32)[None, ..., None]
    model = CellposeSegmenter(SpotNet(), ModelInfo("spots", "cellpose"), device="cpu")
    extent = Box(0, 0, 300, 420)
    (fields,) = model.fields(image, [Tile(0, extent, extent)], extent)
    theirs = dynamics.compute_masks(fields[:2], fields[2], cellprob_threshold=logit(0.3))
    (found,) = model.propose(image, 0.3)
    chosen = found.take(model.select(found, Thresholds(0.3, 0.4)))
    assert len(chosen) > 30
    assert chosen.contours.areas_px.sum() == pytest.approx((_tidy(theirs) > 0).sum())
    assert len(chosen) == _tidy(theirs).max()


def _tidy(masks):
    return cellpose_module("utils").fill_holes_and_remove_small_masks(masks, min_size=15)


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_same_range_of_each_channel(n_channels):
    rng = np.random.default_rng(n_channels)
    image = rng.gamma(2, (200, 5, 1000)[:n_channels], (90, 80, n_channels)).astype(np.float32)
    image[..., 1:2] = 7  # shows nothing, and becomes background
    ours = Normalizer.from_samples(
        image.reshape(-1, n_channels), (1, 99), is_8bit_rgb=False, each_channel=True
    )
    theirs = cellpose_module("transforms").normalize_img(image.copy())
    assert np.array_equal(ours.apply(image), theirs)


def test_the_package_still_cuts_the_image_as_we_do():
    """Its windows, as far as version 4 still has them."""
    transforms = cellpose_module("transforms")
    from napari_histo.models.cellpose.windows import CONVOLUTION, Windows

    assert formula_weights()  # the network itself is held to figures: version 4 has none of it
    for height, width in [(10, 10), (208, 209), (224, 225), (500, 731), (1024, 333)]:
        top, bottom, left, right = transforms.get_pad_yx(height, width)
        padded = np.zeros((1, height + top + bottom, width + left + right), np.float32)
        _, rows, columns, *_ = transforms.make_tiles(padded, bsize=224, tile_overlap=0.1)
        windows = Windows.of(Box(0, 0, width, height), CONVOLUTION)
        assert sorted({int(a) - top for a, _ in rows}) == windows.rows.tolist()
        assert sorted({int(a) - left for a, _ in columns}) == windows.columns.tolist()
        assert {int(b - a) for a, b in rows} == {windows.height}
