from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_histo.core import Box, CancelToken, PixelSize
from napari_histo.core.learning import Pool
from napari_histo.errors import Cancelled, LearningError
from napari_histo.learning.scoring import Encoder, ScoreRequest, join, list_regions, score_image
from napari_histo.learning.strategies import STRATEGIES, strategy
from napari_histo.learning.views import VIEWS, View
from napari_histo.models import load_model
from napari_histo.slides import ArrayReader, open_slide
from support.lattice import LatticeSegmenter, finish

LOOKS = VIEWS[:2]
SAMPLE = Path(__file__).parents[2] / "sample_data" / "he_tile.ome.tif"


def noise(side: int = 200, *, seed: int = 0) -> ArrayReader:
    pixels = np.random.default_rng(seed).integers(0, 4000, (side, side, 1)).astype(np.uint16)
    return ArrayReader(pixels, name="noise", pixel_size=PixelSize.square(0.5), is_rgb=False)


def look(reader: ArrayReader, **request: object) -> Pool:
    work = score_image("one", reader, LatticeSegmenter(), ScoreRequest(**request))  # type: ignore[arg-type]
    return finish(work)[0]


@pytest.fixture(scope="module")
def sample() -> Pool:
    """The sample tile as the fast model sees it."""
    model = load_model("he-nuclei-fast", precision="float32", device="cpu")
    with open_slide(SAMPLE) as reader:
        work = score_image("he", reader, model, ScoreRequest(region_px=128, views=LOOKS))
        pool: Pool = finish(work)[0]
    return pool


def test_regions_are_tiles_of_the_image_in_its_own_pixels() -> None:
    pool = look(noise(), region_px=100, views=())
    assert [c.region for c in pool.candidates] == [
        Box(x, y, 100, 100) for y in (0, 100) for x in (0, 100)
    ]
    assert {c.image for c in pool.candidates} == {"one"}


def test_a_model_that_sees_the_same_in_every_view_agrees_with_itself() -> None:
    same = look(noise(), region_px=100, views=(View("the same"),))
    assert (same.signals["disagreement"] == 0).all()
    other = look(noise(), region_px=100, views=(View("mirrored", lambda a: a[:, ::-1]),))
    assert (other.signals["disagreement"] > 0.1).all()  # its lattice does not turn along


def test_of_many_regions_some_are_drawn_by_the_seed() -> None:
    few, again, other = (
        look(noise(), region_px=20, most=12, views=(), seed=s).candidates for s in (1, 1, 2)
    )
    assert few == again != other
    assert len(few) == 12


def test_a_model_without_an_encoder_gives_no_features_and_random_still_works() -> None:
    pool = look(noise(), region_px=100, views=())
    assert pool.features.shape == (4, 0)
    assert len(strategy("auto").select(pool, 2, np.random.default_rng(0))) == 2


def test_regions_are_listed_and_looked_at_without_a_search_for_objects(sample: Pool) -> None:
    model = load_model("he-nuclei-fast", precision="float32", device="cpu")
    request = ScoreRequest(region_px=128, objects=False, views=())
    with open_slide(SAMPLE) as reader:
        listed = list_regions("he", reader, model, request)
        seen = finish(score_image("he", reader, model, request))[0]
    assert listed.candidates == seen.candidates == sample.candidates
    assert set(listed.signals) == set(seen.signals) == {"tissue"}
    np.testing.assert_allclose(seen.features, sample.features, atol=1e-6)


def test_it_can_be_cancelled_at_any_region() -> None:
    cancel = CancelToken()
    work = score_image("one", noise(), LatticeSegmenter(), ScoreRequest(region_px=50), cancel)
    next(work)
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(work)


def test_the_shipped_model_says_what_it_sees(sample: Pool) -> None:
    model = load_model("he-nuclei-fast", precision="float32", device="cpu")
    assert isinstance(model, Encoder)
    assert len(sample) == 16
    np.testing.assert_allclose(np.linalg.norm(sample.features, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(sample.views, axis=2), 1, atol=1e-5)
    assert sample.views.shape[:2] == (16, len(LOOKS))
    assert sample.signals["objects"].sum() == pytest.approx(523, rel=0.1)
    assert (sample.signals["tissue"] == 1).all()
    for name in ("margin", "disagreement"):
        assert ((sample.signals[name] >= 0) & (sample.signals[name] <= 1)).all()
    assert 0 < sample.signals["disagreement"].mean() < 0.4


def test_a_view_of_a_region_looks_more_like_it_than_other_regions_do(sample: Pool) -> None:
    turned = np.einsum("nd,nd->n", sample.views[:, 0], sample.features)
    others = sample.features @ sample.features.T
    assert (turned > np.median(others, axis=1)).all()


@pytest.mark.parametrize("name", [n for n in STRATEGIES if n != "dropout"])
def test_every_strategy_chooses_from_what_was_seen(name: str, sample: Pool) -> None:
    assert len(strategy(name).select(sample, 4, np.random.default_rng(0))) == 4


def test_pools_of_several_images_are_joined(sample: Pool) -> None:
    both = join([sample, sample])
    assert len(both) == 32
    assert set(both.signals) == set(sample.signals)
    with pytest.raises(LearningError, match="one model"):
        join([sample, look(noise(), region_px=100, views=())])
    assert len(join([])) == 0


def test_stains_are_changed_and_back() -> None:
    rgb = np.random.default_rng(0).integers(40, 250, (8, 8, 3)).astype(np.uint8)
    darker = View("darker", stains=(1.3, 1.3, 1.3)).show(rgb, is_rgb=True)
    assert darker.dtype == np.uint8
    assert (darker <= rgb).all()
    assert (View("the same").show(rgb, is_rgb=True) == rgb).all()
    for view in VIEWS:
        assert (view.back(view.turn(rgb)) == rgb).all()
