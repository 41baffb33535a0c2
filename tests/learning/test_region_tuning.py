"""A region model goes on learning from painted regions; what its counts and areas mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_histo.core import (
    Box,
    CancelToken,
    ClassScheme,
    Contours,
    ModelInfo,
    ObjectState,
    ObjectTable,
    ObjectType,
    PixelSize,
)
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.round_examples import collect_regions
from napari_histo.core.round_regions import regions_as_table
from napari_histo.core.rounds import QueriedRegion, QueryStatus
from napari_histo.errors import Cancelled, ObjectsFileError
from napari_histo.learning.rounds.promotion import AREA_MEASURE, Counts, Gate, Pair, Verdict, decide
from napari_histo.learning.scoring import ScoreRequest, score_image
from napari_histo.learning.strategies import strategy
from napari_histo.learning.tissue.collecting import labelled_areas, origins_of
from napari_histo.learning.tissue.counting import PixelCounts
from napari_histo.learning.tissue.evaluation import evaluate_areas
from napari_histo.learning.tissue.growing import grown
from napari_histo.learning.tissue.params import RegionTuning
from napari_histo.learning.tissue.patches import UNKNOWN
from napari_histo.learning.tissue.predicting import predict_areas
from napari_histo.learning.tissue.tuner import RegionTuner, tuning_loss
from napari_histo.learning.tissue.tuning import tune_regions
from napari_histo.learning.training import Example
from napari_histo.models.region.segmenter import (
    NetShape,
    TorchRegionSegmenter,
    load_region_model,
    save_region_model,
)
from napari_histo.slides import ArrayReader
from support.learning import drive
from support.regions import GLASS, ByColour, painted, patches

IMAGE = ImageEntry("slide", "slide.tif", "")
SHAPE = NetShape(3, 3, width=8)
INFO = ModelInfo("m", "regions", 4.0, channels="rgb", classes=ClassScheme.of("Stroma", "Tumor"))
TUNING = RegionTuning(steps=6, batch=2, judge_every=3, patch_px=32, device="cpu")


def saved(folder, shape=SHAPE, info=INFO, guide=None):
    """A folder with a model of random weights."""
    torch.manual_seed(0)
    model = TorchRegionSegmenter(shape.build(), shape, info, guide=guide, device="cpu")
    save_region_model(folder, model)
    return folder


def region(box=None, names=("Ignore*", "Stroma", "Tumor"), seed=0):
    """A region of a drawn slide, painted by its truth."""
    reader, truth = patches(seed=seed)
    table = painted(reader, truth, ClassScheme.of(*names)).areas
    box = box or Box(32, 32, 96, 96)
    return Example(reader, LabelledRegion("slide", box, table, Contours.empty()))


def square(x, y, side):
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def areas(*rows, state=ObjectState.DRAWN):
    """Annotations of (class, x, y, side)."""
    scheme = ClassScheme.of(*dict.fromkeys(name for name, *_ in rows))
    return ObjectTable.build(
        Contours.from_rings([square(x, y, side) for _, x, y, side in rows]),
        classes=scheme,
        class_id=[scheme.index(name) for name, *_ in rows],
        object_type=ObjectType.ANNOTATION,
        state=state,
    )


# -- counts and the gate ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "answer", "counts"),
    [
        pytest.param([2, 3], [1, 2], (2, 0, 0), id="right"),
        pytest.param([2, 2], [2, 0], (0, 1, 2), id="another-tissue-and-none"),
        pytest.param([1, 1], [0, 1], (0, 1, 0), id="background"),
        pytest.param([0, 0], [1, 2], (0, 0, 0), id="unknown"),
    ],
)
def test_pixels_are_counted(labels, answer, counts):
    found = PixelCounts.of(np.array([answer]), np.array([labels], np.uint8))
    assert (found.tp, found.fp, found.fn) == counts


def test_the_formula_of_pq_becomes_the_dice_of_all_tissues():
    one = PixelCounts(tp=60, fp=10, fn=30)
    assert one.agreement.dice == pytest.approx(120 / 160)
    assert Counts(one.tp, one.fp, one.fn, float(one.tp)).pq == pytest.approx(120 / 160)
    assert (one + one).agreement.dice == one.agreement.dice
    assert np.isnan(PixelCounts().agreement.dice)


def pairs(new, old, n=8, n_areas=3):
    def counts(right):
        return Counts(right, 1000 - right, 1000 - right, float(right))

    return [Pair(f"g{i}", f"i{i}", counts(new + i), counts(old + i), n_areas) for i in range(n)]


def test_the_gate_counts_areas_and_not_their_pixels():
    gate = Gate(draws=2000, measure=AREA_MEASURE)
    better = decide(pairs(800, 600), gate)
    assert better.promoted
    assert "Dice of areas +0.2" in better.sentence
    assert "8 validation regions with 24 areas" in better.sentence
    few = decide(pairs(800, 600, n_areas=1), gate)
    assert few.verdict is Verdict.TOO_FEW
    assert "12 areas" in few.sentence
    assert "object" not in few.sentence + better.sentence


# -- what was painted ------------------------------------------------------------------------------


def collected(table, outline=None):
    query = QueriedRegion.of_box(IMAGE, Box(10, 10, 40, 40), status=QueryStatus.DONE)
    if outline is not None:
        query = replace(query, outline=outline)
    whole = ObjectTable.concat([regions_as_table([query]), table])
    (example,) = collect_regions(IMAGE, whole)
    return labelled_areas(example, "slide")


def test_areas_are_cut_at_the_region_and_what_was_drawn_replaces_predictions():
    predicted = areas(("Stroma", 0, 0, 30), state=ObjectState.PREDICTED)
    drawn = areas(("Tumor", 20, 20, 100), ("Ignore*", 12, 40, 4))
    found = collected(ObjectTable.concat([predicted, drawn]))
    sizes = dict(zip(found.objects.class_names, found.objects.areas_px, strict=True))
    assert sizes == {"Stroma": 20 * 20 - 10 * 10, "Tumor": 30 * 30, "Ignore*": 16}
    assert origins_of(found) == {"accepted": 1, "drawn": 2}
    assert len(found.ignored) == 0


def test_corners_of_a_polygon_are_ignored_and_other_annotations_say_nothing():
    import shapely

    triangle = shapely.Polygon([(10, 10), (50, 10), (10, 50)])
    found = collected(areas(("Stroma", 0, 0, 60), ("Region*", 0, 0, 60)), triangle)
    assert list(found.objects.class_names) == ["Stroma"]
    assert found.objects.areas_px.sum() == pytest.approx(800)
    assert found.ignored.areas_px.sum() == pytest.approx(800)


# -- judging and predicting ------------------------------------------------------------------------


def test_a_model_is_judged_on_known_pixels_of_the_region_alone():
    example = region(Box(0, 0, 96, 32), ("Ignore*", "A", "B"))
    (score,) = evaluate_areas(ByColour(), [example])
    assert (score.fp, score.fn) == (0, 0)
    # Three squares of 32 px: glass, pink and blue; ByColour calls them as they are painted.
    assert score.tp == 2 * 32 * 32
    assert score.iou_sum == score.tp
    assert score.n_areas == 3
    swapped = region(Box(0, 0, 96, 32), ("Ignore*", "B", "A"))
    (score,) = evaluate_areas(ByColour(), [swapped])
    assert (score.tp, score.fp, score.fn) == (0, 2048, 2048)


def test_a_tissue_that_the_model_does_not_know_is_missed():
    (score,) = evaluate_areas(ByColour(), [region(Box(0, 0, 96, 32), ("Ignore*", "A", "C"))])
    assert (score.tp, score.fp, score.fn) == (1024, 1024, 1024)


def test_nothing_is_known_where_it_is_ignored():
    example = region(Box(0, 0, 96, 32), ("Ignore*", "A", "B"))
    hidden = Contours.from_rings([square(64, 0, 32)])
    example = example._replace(labels=replace(example.labels, ignored=hidden))
    (score,) = evaluate_areas(ByColour(), [example])
    assert score.tp == 1024


def test_areas_are_predicted_in_a_box_and_background_gives_none():
    reader, _ = patches()
    box = Box(0, 0, 80, 32)
    found = predict_areas(reader, ByColour(), box, 3)
    sizes = dict(zip(found.class_names, found.areas_px, strict=True))
    assert sizes == {"A": pytest.approx(1024, rel=0.1), "B": pytest.approx(512, rel=0.1)}
    assert (found.object_type == ObjectType.ANNOTATION).all()
    assert found.contours.bounds[:, 2].max() <= 80
    np.testing.assert_array_equal(
        predict_areas(reader, ByColour(), box, 3).object_id, found.object_id
    )


# -- where to look next ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool():
    torch.manual_seed(0)
    model = TorchRegionSegmenter(SHAPE.build(), SHAPE, INFO, device="cpu")
    pixels = np.full((192, 384, 3), GLASS, np.uint8)
    pixels[:, :192] = patches()[0].read(Box(0, 0, 192, 192), 0)
    reader = ArrayReader(pixels, pixel_size=PixelSize.square(4.0))
    return drive(score_image("slide", reader, model, ScoreRequest(region_px=64)))


@pytest.mark.parametrize(
    "name", ["auto", "typical", "contrast", "uncertain", "disagreement", "diverse", "badge",
             "balance", "grid", "random"]
)  # fmt: skip
def test_every_strategy_chooses_among_regions_with_tissue(pool, name):
    found = strategy(name).select(pool, 3, np.random.default_rng(0))
    assert len(found) == 3
    # Tissue is taken to reach a little beyond what shows it.
    assert all(c.region.x < 256 for c in found.candidates)
    assert not any("object" in reason for reason in found.reasons)


def test_doubt_and_features_of_regions(pool):
    assert set(pool.signals) == {"tissue", "margin", "disagreement"}
    assert ((pool.signals["margin"] >= 0) & (pool.signals["margin"] <= 1)).all()
    np.testing.assert_allclose(np.linalg.norm(pool.features, axis=1), 1, atol=1e-5)
    assert pool.views.shape[1] == 4
    assert (pool.class_counts.sum(axis=1) <= 64 * 64).all()


def test_one_that_is_sure_has_no_doubt():
    reader, _ = patches()
    sure = drive(score_image("slide", reader, ByColour(sure=1.0), ScoreRequest(region_px=64)))
    assert (sure.signals["margin"] == 0).all()
    assert sure.features.shape[1] == 0


# -- learning --------------------------------------------------------------------------------------


def test_more_classes_leave_what_the_network_knows():
    torch.manual_seed(1)
    shape = replace(SHAPE, guided=True)
    net = shape.build().eval()
    more, wider = grown(net, shape, 2, 0)
    assert wider.classes == 5
    x = torch.rand(1, 6, 32, 32)
    beside = torch.cat([x, torch.rand(1, 2, 32, 32)], 1)
    with torch.no_grad():
        torch.testing.assert_close(more.eval()(beside)[:, :3], net(x))


def test_the_parents_voice_is_heard_where_nobody_painted():
    logits = torch.zeros(1, 3, 2, 2)
    labels = torch.tensor([[[0, UNKNOWN], [UNKNOWN, UNKNOWN]]])
    heard = torch.zeros(1, 2, 2, 2)
    heard[:, 1] = 1
    alone = tuning_loss(logits, labels, None, 0.2)
    both = tuning_loss(logits, labels, heard, 0.2)
    assert float(alone) == pytest.approx(np.log(3))
    # Of two classes, for of the third the parent says nothing.
    assert float(both - alone) == pytest.approx(0.2 * np.log(2), rel=1e-5)
    nothing = torch.full_like(labels, UNKNOWN)
    assert float(tuning_loss(logits, nothing, None, 0.2)) == 0


def test_a_batch_in_parts_weighs_as_the_whole():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 8, 8, generator=rng)
    labels = torch.randint(-1, 3, (4, 8, 8), generator=rng)
    labels[0] = UNKNOWN
    heard = torch.randn(4, 2, 8, 8, generator=rng).softmax(1)
    totals = int((labels != UNKNOWN).sum()), int((labels == UNKNOWN).sum())
    parts = [
        tuning_loss(logits[i : i + 1], labels[i : i + 1], heard[i : i + 1], 0.2, totals)
        for i in range(4)
    ]
    assert float(sum(parts)) == pytest.approx(float(tuning_loss(logits, labels, heard, 0.2)))


def test_with_less_memory_it_goes_on_in_parts(tmp_path, monkeypatch):
    """Half as many patches at once, and it says so."""
    whole, sizes = RegionTuner._loss, []

    def tight(self, images, *rest):
        sizes.append(len(images))
        if len(images) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(self, images, *rest)

    monkeypatch.setattr(RegionTuner, "_loss", tight)
    params = replace(TUNING, steps=2, batch=4)
    parent = saved(tmp_path / "parent")
    steps = list(tune_regions(parent, [region()], [], tmp_path / "m", params))
    assert any("Memory ran out" in step.message for step in steps)
    assert sizes[:3] == [4, 2, 1]
    assert load_region_model(tmp_path / "m").info.classes.names == ("Stroma", "Tumor")


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


def test_stopped_and_gone_on_with_it_is_the_same_model(tmp_path):
    parent = saved(tmp_path / "parent")
    new, old = [region()], [region(seed=1)]
    asked = {"validation": [region(seed=2)], "resume": True}
    whole = drive(tune_regions(parent, new, old, tmp_path / "whole", TUNING, **asked))
    cancel = CancelToken()
    work = tune_regions(parent, new, old, tmp_path / "part", TUNING, cancel, **asked)
    for step in work:
        if step.done == 4:
            cancel.cancel()
            break
    with pytest.raises(Cancelled):
        next(work)
    assert (tmp_path / "part.training").is_dir()
    drive(tune_regions(parent, new, old, tmp_path / "part", TUNING, **asked))
    assert weights(tmp_path / "part") == weights(tmp_path / "whole")
    assert (tmp_path / "part" / "card.json").read_bytes() == (
        tmp_path / "whole" / "card.json"
    ).read_bytes()
    assert [p.step for p in whole.curve] == [0, 3, 6]
    assert not (tmp_path / "part.training").exists()


def test_a_cancel_before_the_last_look_writes_nothing_and_is_gone_on_with(tmp_path):
    parent, cancel = saved(tmp_path / "parent"), CancelToken()
    work = tune_regions(parent, [region()], [], tmp_path / "m", TUNING, cancel)
    while next(work).message != "Judging the areas":
        pass
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(work)
    assert not (tmp_path / "m").exists()
    steps = list(tune_regions(parent, [region()], [], tmp_path / "m", TUNING, resume=True))
    assert [step.message for step in steps] == ["Reading the regions", "Judging the areas"]
    assert (tmp_path / "m").is_dir()


def test_new_classes_come_after_the_parents_and_a_guide_stays_as_it_is(tmp_path):
    guide = load_region_model(saved(tmp_path / "guide"), device="cpu")
    parent = saved(tmp_path / "parent", replace(SHAPE, guided=True), guide=guide)
    judge = [region(seed=2)]
    example = region(names=("Ignore*", "Vessel", "Tumor"))
    work = tune_regions(parent, [example], [], tmp_path / "new", TUNING, validation=judge)
    done = drive(work)
    assert done.model.info.classes.names == ("Stroma", "Tumor", "Vessel")
    assert weights(tmp_path / "new" / "guide") == weights(tmp_path / "parent" / "guide")
    made = load_region_model(tmp_path / "new", device="cpu")
    found = predict_areas(example.reader, made, Box(0, 0, 96, 96))
    assert set(found.class_names) <= {"Stroma", "Tumor", "Vessel"}


def test_regions_without_an_area_are_told(tmp_path):
    reader, _ = patches()
    empty = LabelledRegion("slide", Box(0, 0, 64, 64), ObjectTable.empty(), Contours.empty())
    with pytest.raises(ObjectsFileError, match="hold no painted area"):
        drive(
            tune_regions(
                saved(tmp_path / "parent"), [Example(reader, empty)], [], tmp_path / "new", TUNING
            )
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("wrong", [{"patch_px": 40}, {"steps": 0}, {"replay_share": 1.0}])
def test_settings_that_cannot_be_are_told(wrong):
    with pytest.raises(ValueError, match="allowed is"):
        RegionTuning(**wrong)
