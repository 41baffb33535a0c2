"""Stains: mixed and separated again, found in a slide, transferred; held against torchstain."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_histo.errors import StainError
from napari_histo.ops.stain_estimate import estimate_stains
from napari_histo.ops.stain_transfer import MacenkoNormalizer, ReinhardNormalizer
from napari_histo.ops.stain_vectors import H_DAB, HE, StainVectors

ODD = StainVectors(("Hematoxylin", "Eosin"), ((0.60, 0.72, 0.35), (0.10, 0.90, 0.40)))


def painted(stains, amounts):
    """Colours (float, 0 to 255) of amounts of the stains."""
    od = np.asarray(amounts) @ stains.matrix[: len(stains.names)]
    return np.array(stains.background) * 10**-od


def tissue(stains, n=20_000, seed=0):
    """(n, 3) uint8: a third each of the first stain, of the second and of both; some glass."""
    rng = np.random.default_rng(seed)
    share = np.array([[1, 0], [0, 1], [0.5, 0.5]])[rng.integers(0, 3, n)]
    rgb = painted(stains, share * rng.uniform(0.3, 0.9, (n, 1)))
    return np.concatenate([np.rint(rgb), np.full((n, 3), 250)]).astype(np.uint8)


@pytest.mark.parametrize(
    "stains",
    [HE, H_DAB, StainVectors((*HE.names, "DAB"), (*HE.vectors, H_DAB.vectors[1]), (240, 235, 230))],
    ids=["H&E", "H-DAB", "three, over tinted glass"],
)
def test_what_was_mixed_is_separated(stains):
    amounts = np.random.default_rng(1).uniform(0.1, 0.6, (50, len(stains.names)))
    found = stains.amounts(painted(stains, amounts))
    np.testing.assert_allclose(found, amounts, atol=1e-5)


def test_bytes_are_as_numbers():
    rgb = np.random.default_rng(2).integers(0, 256, (100, 3)).astype(np.uint8)
    np.testing.assert_allclose(HE.amounts(rgb), HE.amounts(rgb.astype(float)), atol=1e-5)


def test_defaults_are_qupaths():
    expected = '"Values 1": "0.65111 0.70119 0.29049"'
    assert expected in HE.describe()
    assert expected in H_DAB.describe()
    assert HE.names == ("Hematoxylin", "Eosin")
    # The third, residual vector is at right angles to both.
    np.testing.assert_allclose(HE.matrix[2] @ HE.matrix[:2].T, 0, atol=1e-12)


def test_qupaths_own_text_is_read():
    text = (
        '{"Name" : "H-DAB default", "Stain 1" : "Hematoxylin", "Values 1" : "0.65111 0.70119 '
        '0.29049 ", "Stain 2" : "DAB", "Values 2" : "0.26917 0.56824 0.77759 ", '
        '"Background" : " 243 244 240 "}'
    )
    stains = StainVectors.parse(text)
    assert stains.names == ("Hematoxylin", "DAB")
    assert stains.background == (243, 244, 240)
    np.testing.assert_allclose(stains.matrix, H_DAB.matrix, atol=1e-4)
    again = StainVectors.parse(stains.describe())
    np.testing.assert_allclose(again.matrix, stains.matrix, atol=1e-5)


BAD = {
    "no JSON": lambda: StainVectors.parse("he"),
    "two numbers": lambda: StainVectors.parse(HE.describe().replace("0.29049", "")),
    "one colour": lambda: StainVectors(("a", "b"), ((1, 1, 1), (1, 1, 1.01))),
    "three in one plane": lambda: StainVectors(
        ("a", "b", "c"), ((1, 0, 0), (0, 1, 0), (1, 1, 0.001))
    ),
    "no light": lambda: StainVectors(HE.names, HE.vectors, (255, 255, 0)),
    "a name too few": lambda: StainVectors(("a",), HE.vectors),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_bad_vectors_are_told(make):
    with pytest.raises(StainError):
        make()


@pytest.mark.parametrize("kind", [HE, H_DAB], ids=["H&E", "H-DAB"])
def test_stains_are_found(kind):
    truth = StainVectors(kind.names, (ODD.vectors[0], kind.vectors[1]))
    found = estimate_stains(tissue(truth), kind)
    assert found.names == kind.names
    angles = np.degrees(np.arccos((found.matrix[:2] * truth.matrix[:2]).sum(axis=1)))
    assert (angles < 1.5).all()


def test_glass_has_no_stains():
    with pytest.raises(StainError, match="too few"):
        estimate_stains(np.full((10_000, 3), 248, np.uint8))


def test_one_colour_is_no_two_stains():
    with pytest.raises(StainError, match="one colour"):
        estimate_stains(np.full((10_000, 3), (90, 60, 140), np.uint8))


def test_macenko_gives_the_reference_its_colours():
    ours, reference = tissue(ODD), tissue(HE, seed=1)
    changed = MacenkoNormalizer.fit(ours, reference).apply(ours)
    found = estimate_stains(changed)
    np.testing.assert_allclose(found.matrix, estimate_stains(reference).matrix, atol=0.01)
    assert np.abs(changed.mean(axis=0) - reference.mean(axis=0)).max() < 3


def test_reinhard_gives_the_reference_its_mean_and_spread():
    ours, reference = tissue(ODD), tissue(HE, seed=1)
    changed = ReinhardNormalizer.fit(ours, reference).apply(ours)
    assert np.abs(changed.mean(axis=0) - reference.mean(axis=0)).max() < 4
    # Equal in CIELAB, but for colours that no screen shows.
    assert np.abs(changed.std(axis=0) - reference.std(axis=0)).max() < 8


def test_a_tile_comes_out_as_in_the_whole():
    ours = tissue(ODD).reshape(200, 200, 3)
    for made in (MacenkoNormalizer.fit(ours), ReinhardNormalizer.fit(ours, tissue(HE))):
        whole = made.apply(ours)
        np.testing.assert_array_equal(made.apply(ours[40:90, 10:70]), whole[40:90, 10:70])


def test_torchstain_finds_the_same(data_dir):
    """Numbers of torchstain 1.4.1 (numpy, Io=255) for the same picture and reference."""
    one, other = (
        np.asarray(Image.open(data_dir / f"nuclei/tnbc/images/{name}.png").convert("RGB"))
        for name in ("01_1", "02_1")
    )
    fitted = MacenkoNormalizer.fit(one)
    theirs = [[0.62436, 0.68957, 0.36697], [0.35194, 0.64247, 0.68071]]
    np.testing.assert_allclose(fitted.source.matrix[:2], theirs, atol=0.003)
    mean = fitted.apply(one).reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(mean, [188.45, 133.48, 167.01], atol=1)
    changed = ReinhardNormalizer.fit(one, other).apply(one).reshape(-1, 3)
    np.testing.assert_allclose(changed.mean(axis=0), [215.94, 198.48, 210.48], atol=1)
    np.testing.assert_allclose(changed.std(axis=0), [20.14, 24.62, 18.73], atol=0.5)
