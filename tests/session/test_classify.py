"""Classes of cells without a window: examples, what is learned of them, and thresholds."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_histo.core import ClassScheme, Contours, ObjectState, ObjectTable, ObjectType
from napari_histo.learning.cells.features import ObjectFeatures
from napari_histo.learning.cells.files import load_classifier
from napari_histo.ops.region_counts import Places
from napari_histo.session import ImageChoice
from napari_histo.session.annotate.document import Document
from napari_histo.session.classify.controller import ClassifyController
from napari_histo.session.classify.state import Stains, Way
from napari_histo.session.classify.work import ClassifyTools, Sheet, measure_objects
from napari_histo.slides import ArrayReader
from napari_histo.store import load_objects
from support.annotation_desk import Later
from support.inbox import PATIENCE_S

N = 40
DAB = "DAB: Nucleus: Mean"


def squares(n=N, **columns):
    """Squares of 10 px in rows of ten, 20 px apart; of no class."""
    corners = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.float32)
    at = np.array([[5 + 20 * (i % 10), 5 + 20 * (i // 10)] for i in range(n)], np.float32)
    columns.setdefault("classes", ClassScheme.of("Tumor", "Stroma"))
    columns.setdefault("class_id", -1)
    return ObjectTable.build(Contours.from_star(at[:, None] + corners), **columns)


def sheet_of(reader, table, stains, cancel, report):
    """Two features: the left half of each row is low, the right half high; and noise."""
    column = np.arange(len(table)) % 10
    high = (column >= 5) + 0.02 * column
    values = np.stack([high, column % 3], axis=1).astype(np.float32)
    drawn = np.flatnonzero(table.object_type == ObjectType.ANNOTATION)
    regions = table.select(drawn) if len(drawn) else None
    return Sheet(
        ObjectFeatures(("a", "b"), values), {DAB: high}, Places.of(table, regions, 1e5), {}
    )


class Desk:
    """A session on an image, its file, and a hand that clicks on the squares."""

    def __init__(self, folder, table=None, measure=sheet_of):
        self.later, self.target = Later(), folder / "slide.geojson"
        tools = ClassifyTools(measure, lambda *a, **k: Document.open(*a, data_folder=folder, **k))
        self.session = ClassifyController(self.later, tools)
        reader = ArrayReader(np.full((100, 220, 3), 240, np.uint8), name="slide", is_rgb=True)
        table = squares() if table is None else table
        self.session.open(ImageChoice("slide", reader), target=self.target, table=table)
        self.until(lambda: self.known.is_measured or self.session.state.error)

    def until(self, what):
        self.later.run(what)

    @property
    def known(self):
        return self.session.classify

    @property
    def state(self):
        return self.session.state

    def at(self, i):
        return 10 + 20 * (i % 10), 10 + 20 * (i // 10)

    def give(self, name, *squares):
        self.session.choose(name)
        for i in squares:
            self.session.click(*self.at(i))
        self.settle()

    def settle(self):
        lanes = (self.session._lessons, self.session._proofs, self.session._files)
        self.until(lambda: not any(lane.is_busy for lane in lanes) and not self.later.posted)

    def shown(self):
        """Names by square."""
        objects, ledger = self.session.objects, self.session.ledger
        rows = [objects.row_of(objects.at(*self.at(i))) for i in range(N)]
        return [ledger.classes.name_of(int(k)) for k in ledger.class_ids(np.array(rows))]

    def own(self):
        """Names by square, as the objects have them."""
        objects = self.session.objects
        tables = [objects.get([objects.at(*self.at(i))]) for i in range(N)]
        return [t.class_names[0] for t in tables]


TRUTH = ["Tumor" if i % 10 < 5 else "Stroma" for i in range(N)]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def taught(desk):
    desk.give("Tumor", 0, 12)
    desk.give("Stroma", 5, 17)
    return desk


# -- examples --------------------------------------------------------------------------------------


def test_a_click_makes_an_example_that_is_kept_and_undone(desk):
    desk.give("Tumor", 3)
    assert desk.known.examples == {"Tumor": 1}
    assert desk.state.kept.n_unsaved == 2  # the table, and the click
    row = desk.session.objects.get([desk.session.objects.at(*desk.at(3))])
    assert (row.class_names[0], row.state[0]) == ("Tumor", ObjectState.ACCEPTED)
    desk.session.undo()
    assert desk.known.examples == {}
    desk.session.redo()
    assert desk.known.examples == {"Tumor": 1}


def test_examples_come_back(tmp_path):
    first = Desk(tmp_path)
    first.give("Tumor", 3)
    first.session.close()
    assert Desk(tmp_path, squares()).known.examples == {"Tumor": 1}


def test_what_was_drawn_stays_drawn(tmp_path):
    desk = Desk(tmp_path, squares(state=ObjectState.DRAWN))
    desk.give("Tumor", 3)
    row = desk.session.objects.get([desk.session.objects.at(*desk.at(3))])
    assert row.state[0] == ObjectState.DRAWN


def test_an_example_is_taken_back(desk):
    desk.give("Tumor", 3)
    desk.session.take_back(*desk.at(3))
    assert desk.known.examples == {}
    assert desk.own()[3] is None


@pytest.mark.parametrize(
    ("place", "class_name", "word"),
    [
        pytest.param((200, 95), "Tumor", "no object", id="beside"),
        pytest.param((10, 10), None, "Choose a class", id="no-class"),
    ],
)
def test_a_click_that_gives_nothing_says_why(desk, place, class_name, word):
    desk.state.current_class = class_name
    desk.session.click(*place)
    assert word in desk.state.notice
    assert desk.known.n_examples == 0


def test_classes_of_qupath_become_examples_when_asked(tmp_path):
    ids = [-1, 0, 1] + [-1] * (N - 3)
    desk = Desk(tmp_path, squares(class_id=ids))
    assert (desk.known.n_classified, desk.known.n_examples) == (2, 0)
    desk.session.take_classified()
    assert (desk.known.n_classified, desk.known.examples) == (0, {"Tumor": 1, "Stroma": 1})


# -- learning --------------------------------------------------------------------------------------


def test_two_classes_colour_the_whole_slide(taught):
    assert taught.shown() == TRUTH
    assert taught.known.found["Tumor"] == N // 2
    assert taught.known.n_pending == N - 4
    assert taught.own().count(None) == N - 4  # nothing is given yet


def test_accuracy_is_told_once_there_are_enough_examples(taught):
    assert taught.known.quality is None
    taught.give("Tumor", 1, 2, 23)
    taught.give("Stroma", 6, 7, 28)
    assert taught.known.quality["accuracy"] == 1
    assert taught.known.quality["n"] == 10


def test_one_class_teaches_nothing(desk):
    desk.give("Tumor", 0, 1, 2)
    assert not desk.known.has_classifier
    assert desk.shown().count(None) == N - 3


def test_what_a_person_said_is_shown_whatever_was_learned(taught):
    taught.give("Stroma", 1)
    assert taught.shown()[1] == "Stroma"


def test_answers_of_older_examples_are_dropped(desk, monkeypatch):
    from napari_histo.session.classify import work as classify_work

    gate, learned = threading.Event(), []
    real = classify_work.Lesson.learn

    def slow(lesson):
        gate.wait(PATIENCE_S)
        learned.append(int((lesson.given >= 0).sum()))
        return real(lesson)

    monkeypatch.setattr(classify_work.Lesson, "learn", slow)
    desk.session.choose("Tumor")
    desk.session.click(*desk.at(0))
    desk.session.choose("Stroma")
    for i in (5, 6, 7):
        desk.session.click(*desk.at(i))
    assert desk.known.learning
    gate.set()
    desk.settle()
    assert learned == [2, 4]  # the first was under way, those between never began
    assert sum(desk.session._learned.classifier.counts.values()) == 4


def test_undo_unlearns(taught):
    for _ in range(2):
        taught.session.undo()
    taught.settle()
    assert not taught.known.has_classifier
    assert taught.known.n_pending == 0


def test_given_classes_are_one_step(taught):
    taught.session.apply()
    taught.settle()
    assert taught.own() == TRUTH
    assert taught.known.n_pending == 0
    table = taught.session.objects.table()
    predicted = table.state == ObjectState.PREDICTED
    assert predicted.sum() == N - 4
    assert (table.class_prob[predicted] > 0.5).all()
    assert np.isnan(table.class_prob[~predicted]).all()
    taught.session.undo()
    taught.settle()
    assert taught.own().count(None) == N - 4
    assert taught.shown() == TRUTH


def test_saving_gives_the_classes_and_keeps_the_classifier(taught):
    taught.session.save()
    taught.later.run(lambda: taught.state.kept.saved_at is not None or taught.state.error)
    taught.settle()
    assert sorted(load_objects(taught.target).class_names.tolist()) == sorted(TRUTH)
    known = load_classifier(taught.target.with_name("slide.classifier"))
    assert known.counts == {"Tumor": 2, "Stroma": 2}
    assert known.recipe == {}


@pytest.fixture
def lab(taught, tmp_path):
    """A classifier's folder, and another image."""
    taught.session.save_classifier(tmp_path / "lab")
    taught.settle()
    taught.session.close()
    (tmp_path / "b").mkdir()
    return tmp_path / "lab", Desk(tmp_path / "b")


def test_a_classifier_of_another_image_goes_on_learning_here(lab):
    folder, other = lab
    other.session.load_classifier(folder)
    other.settle()
    assert other.known.loaded == folder
    assert other.shown() == TRUTH
    other.give("Stroma", 8)
    counts = other.session._learned.classifier.counts
    assert counts == {"Tumor": 2, "Stroma": 3}
    other.session.forget_loaded()
    other.settle()
    assert other.shown().count(None) == N - 1


def test_a_classifier_without_its_examples_is_used_as_it_is(lab):
    folder, other = lab
    (folder / "examples.safetensors").unlink()
    other.session.load_classifier(folder)
    other.settle()
    other.give("Stroma", 0)
    assert other.shown() == ["Stroma", *TRUTH[1:]]
    assert other.session._learned.classifier.counts == {"Tumor": 2, "Stroma": 2}


def test_a_folder_without_a_classifier_is_told(taught, tmp_path):
    taught.session.load_classifier(tmp_path)
    taught.settle()
    assert "holds no classifier" in taught.state.error
    assert taught.known.loaded is None


# -- review ----------------------------------------------------------------------------------------


def test_the_least_sure_come_first_and_keys_give_classes(taught):
    margin = taught.session._learned.prediction.margin.copy()
    given = taught.session.ledger.given >= 0
    least = np.flatnonzero(~given)[np.argmin(margin[~given])]
    taught.session.review_start()
    review = taught.state.review
    assert review.position == 1
    assert review.total == N - 4
    assert review.box.x == 5 + 20 * (least % 10)
    first = review.object_id
    taught.session.choose("Stroma")
    assert taught.state.review.object_id != first
    assert taught.known.examples["Stroma"] == 3
    taught.settle()
    taught.session.accept()
    assert taught.known.n_examples == 6


def test_the_review_goes_back_and_ends(taught):
    taught.session.review_start()
    first = taught.state.review.object_id
    taught.session.review_next()
    taught.session.review_previous()
    assert taught.state.review.object_id == first
    taught.session.review_stop()
    assert taught.state.review is None
    assert taught.state.selection == ()


def test_no_review_without_a_classifier(desk):
    desk.session.review_start()
    assert desk.state.review is None
    assert "two classes" in desk.state.notice


# -- thresholds ------------------------------------------------------------------------------------


@pytest.fixture
def graded(desk):
    desk.session.set_way(Way.THRESHOLD)
    return desk


def test_a_threshold_is_found_and_shown_at_once(graded):
    assert graded.known.measurement == DAB
    assert 0.1 < graded.known.thresholds[0] < 1.1
    assert graded.shown() == ["Negative" if name == "Tumor" else "Positive" for name in TRUTH]
    whole = graded.known.scores[0]
    assert (whole.n_objects, whole.percent) == (N, 50)


def test_a_moved_threshold_moves_the_classes(graded):
    graded.session.set_threshold(0, 1.15)
    assert graded.shown().count("Positive") == 4 * 2  # columns 8 and 9
    graded.session.set_threshold(0, 2)
    assert graded.known.scores[0].percent == 0


def test_three_thresholds_make_way_for_each_other(graded):
    graded.session.suggest(3)
    graded.session.set_threshold(0, 1.12)
    assert list(graded.known.thresholds) == sorted(graded.known.thresholds)
    assert graded.known.thresholds[0] == 1.12
    assert not np.isnan(graded.known.scores[0].h_score)


def test_graded_classes_are_given_with_their_measurement_and_undone(graded):
    graded.session.apply()
    assert set(graded.own()) == {"Positive", "Negative"}
    table = graded.session.objects.table()
    assert np.isfinite(table.measurements[DAB]).all()
    graded.session.undo()
    assert set(graded.own()) == {None}
    assert graded.shown().count("Positive") == N // 2


def test_thresholds_grade_the_classes_that_were_learned(taught):
    taught.session.apply()
    taught.session.set_way(Way.THRESHOLD)
    assert set(taught.shown()) == {"Tumor: Negative", "Stroma: Positive"}
    kinds = {score.kind for score in taught.known.scores}
    assert kinds == {"All", "Tumor", "Stroma"}


def test_scores_of_regions(tmp_path):
    region = ObjectTable.build(
        Contours.from_rings([np.array([[0, 0], [95, 0], [95, 90], [0, 90]], float)]),
        object_type=ObjectType.ANNOTATION,
        classes=ClassScheme.of("Region*"),
        class_id=[0],
    )
    desk = Desk(tmp_path, ObjectTable.concat([squares(), region]))
    desk.session.set_way(Way.THRESHOLD)
    found = {s.region: s.percent for s in desk.known.scores}
    assert found == {"Image": 50, "Region* 1": 0}


# -- measuring -------------------------------------------------------------------------------------


def test_what_cannot_be_measured_is_told(tmp_path):
    def fail(*_):
        raise ValueError("no pixels")

    desk = Desk(tmp_path, measure=fail)
    assert "no pixels" in desk.state.error
    desk.give("Tumor", 0)
    assert desk.known.examples == {"Tumor": 1}


@pytest.mark.parametrize(
    ("colour", "stains", "column"),
    [
        pytest.param((120, 70, 40), Stains.AUTO, DAB, id="brown-is-dab"),
        pytest.param((90, 60, 140), Stains.AUTO, "Eosin: Nucleus: Mean", id="violet-is-he"),
        pytest.param((90, 60, 140), Stains.HDAB, DAB, id="as-the-user-says"),
    ],
)
def test_stains_are_told_by_their_colour(colour, stains, column):
    from napari_histo.core import CancelToken, PixelSize

    pixels = np.full((100, 220, 3), 245, np.uint8)
    pixels[5:15, 5:95] = colour
    reader = ArrayReader(pixels, is_rgb=True, pixel_size=PixelSize.square(0.5))
    sheet = measure_objects(reader, squares(4), stains, CancelToken(), lambda _: None)
    assert column in sheet.columns
    assert column in sheet.features.names
    assert len(sheet.features) == 4
