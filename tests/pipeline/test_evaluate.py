"""Files and folders against the truth: partners, notes, refusals, and the same figures each way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_histo.core import ClassScheme, Contours, ObjectState, ObjectTable
from napari_histo.errors import ObjectsFileError
from napari_histo.ops.metrics import compare_labels
from napari_histo.pipeline import evaluate as evaluate_module
from napari_histo.pipeline.evaluate import evaluate
from napari_histo.pipeline.splits import read_split
from napari_histo.slides import ArrayReader
from napari_histo.store import labels_to_table, save_objects

Labels = NDArray[np.uint16]


def _discs(shift: int = 0, n: int = 4) -> Labels:
    y, x = np.mgrid[:64, :96]
    labels = np.zeros((64, 96), np.uint16)
    for i in range(n):
        labels[np.hypot(y - 20, x - 15 - 20 * i - shift) < 8] = i + 1
    return labels


def _write(path: Path, labels: Labels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, labels)
    elif path.suffix == ".png":
        from PIL import Image

        Image.fromarray(labels).save(path)
    else:
        save_objects(path, labels_to_table(labels), info=ArrayReader(labels[..., None]).info)
    return path


@pytest.mark.parametrize("truth_ending", [".tif", ".png", ".geojson", ".parquet"])
@pytest.mark.parametrize("pred_ending", [".tif", ".geojson.gz", ".ome.zarr"])
def test_every_format_gives_the_same_figures(
    tmp_path: Path, pred_ending: str, truth_ending: str
) -> None:
    pred = _write(tmp_path / f"pred{pred_ending}", _discs(3))
    truth = _write(tmp_path / f"truth{truth_ending}", _discs())
    report = evaluate(pred, truth)
    assert report.pooled == compare_labels(_discs(), _discs(3))
    assert 0 < report.pooled.pq < 1
    assert report.notes == ()


def test_outlines_are_compared_square_by_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pred = _write(tmp_path / "pred.geojson", _discs(3))
    truth = _write(tmp_path / "truth.geojson", _discs())
    whole = evaluate(pred, truth).pooled
    monkeypatch.setattr(evaluate_module, "_SQUARE_PX", 17)
    assert evaluate(pred, truth).pooled == whole


def test_folders_are_matched_by_stem_and_say_what_is_missing(tmp_path: Path) -> None:
    for name, shift in (("a.b", 0), ("c", 3), ("extra", 0)):
        _write(tmp_path / "pred" / f"{name}.geojson.gz", _discs(shift))
    for name in ("a.b", "c", "unseen_1", "unseen_2"):
        _write(tmp_path / "truth" / f"{name}.tif", _discs())
    (tmp_path / "truth" / "README.md").write_text("no labels")
    report = evaluate(tmp_path / "pred", tmp_path / "truth")
    assert [image.name for image in report.images] == ["a.b", "c"]
    assert len(report.notes) == 2
    assert "1 of 3" in report.notes[0]
    assert "extra" in report.notes[0]
    assert "2 of 4" in report.notes[1]
    assert "unseen_1, unseen_2" in report.notes[1]
    assert report.pooled.n_truth == 8
    assert report.mean("f1") == pytest.approx((1 + report.images[1].agreement.f1) / 2)


def test_stray_files_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    for side in ("pred", "truth"):
        _write(tmp_path / side / "a.tif", _discs())
        for name in ("notes.gz", ".gz", "gz", "list.txt", "b.tar.gz", ".hidden.tif"):
            (tmp_path / side / name).write_bytes(b"x")
    report = evaluate(tmp_path / "pred", tmp_path / "truth")
    assert [image.name for image in report.images] == ["a"]


@pytest.mark.parametrize(
    "ending", [".tif", ".ome.tif", ".TIF", ".png", ".geojson", ".json.gz", ".parquet", ".ome.zarr"]
)
def test_endings_are_no_part_of_a_stem(ending: str) -> None:
    assert evaluate_module._stem(Path("folder") / f"a.b{ending}") == "a.b"


def test_only_some_images(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _write(tmp_path / "pred" / f"{name}.tif", _discs())
        _write(tmp_path / "truth" / f"{name}.tif", _discs())
    report = evaluate(tmp_path / "pred", tmp_path / "truth", only=["a", "c"])
    assert [image.name for image in report.images] == ["a"]
    (note,) = report.notes
    assert "1 of 2" in note
    assert note.endswith(": c.")
    with pytest.raises(ObjectsFileError, match="one image"):
        evaluate(tmp_path / "pred" / "a.tif", tmp_path / "truth" / "a.tif", only=["a"])


def test_a_file_finds_its_partner_in_a_folder(tmp_path: Path) -> None:
    pred = _write(tmp_path / "a.geojson", _discs())
    for name in ("a", "b"):
        _write(tmp_path / "truth" / f"{name}.tif", _discs())
    assert evaluate(pred, tmp_path / "truth").pooled.f1 == 1


def test_what_is_no_object_is_left_out_and_said(tmp_path: Path) -> None:
    truth = _write(tmp_path / "truth.tif", _discs())
    table = labels_to_table(_discs(), classes=ClassScheme.of("Nucleus"))
    frame = Contours.from_rings([[(0, 0), (96, 0), (96, 64), (0, 64)]])
    region = ObjectTable.build(frame, classes=ClassScheme.of("Region*"))
    refused = ObjectTable.build(frame, state=ObjectState.REJECTED, classes=table.classes)
    far = ObjectTable.build(frame.transform(1, (500, 0)), classes=table.classes)
    save_objects(tmp_path / "pred.parquet", ObjectTable.concat([table, region, refused, far]))
    report = evaluate(tmp_path / "pred.parquet", truth)
    assert report.pooled.f1 == 1
    assert "2 of 7 outlines" in report.notes[0]
    assert "1 of 5 outlines" in report.notes[1]


def test_empty_prediction_scores_nothing(tmp_path: Path) -> None:
    save_objects(tmp_path / "pred.geojson", ObjectTable.empty())
    for truth in (".tif", ".geojson"):
        report = evaluate(tmp_path / "pred.geojson", _write(tmp_path / f"truth{truth}", _discs()))
        assert (report.pooled.f1, report.pooled.n_truth) == (0, 4)


def test_json_has_the_promised_keys(tmp_path: Path) -> None:
    pred = _write(tmp_path / "a.tif", _discs())
    words = json.loads(json.dumps(evaluate(pred, pred).as_dict(), allow_nan=False))
    promised = {"f1", "ap", "precision", "recall", "sq", "dq", "pq", "aji", "dice", "images"}
    promised |= {"n_images", "n_truth", "n_pred"}
    assert promised <= set(words)
    assert words["ap"] == {f"{t / 100:g}": 1 for t in range(50, 95, 5)}
    assert words["images"][0]["name"] == "a"


def _refusals() -> list[object]:
    return [
        pytest.param({"p.tif": _discs()}, {}, "There is no .*t.tif", id="missing"),
        pytest.param(
            {"p.tif": _discs()},
            {"t.tif": _discs()[:, :50]},
            "p.tif has 96 x 64.*t.tif has 50 x 64",
            id="shape",
        ),
        pytest.param({"p/a.tif": _discs()}, {"t/b.tif": _discs()}, r"\(a\).*\(b\)", id="strangers"),
        pytest.param(
            {"p/a.tif": _discs()},
            {"t/a.tif": _discs(), "t/a.geojson": _discs()},
            "both a.geojson and a.tif",
            id="two truths",
        ),
        pytest.param(
            {"p.tif": _discs()},
            {"t.tif": _discs().astype(np.float32)},
            "t.tif.*float32",
            id="float",
        ),
        pytest.param(
            {"p.tif": _discs()}, {"t.tif": _discs().astype(np.int16) - 1}, "label -1", id="negative"
        ),
    ]


@pytest.mark.parametrize(("preds", "truths", "words"), _refusals())
def test_refusals_name_the_file(
    tmp_path: Path, preds: dict[str, Labels], truths: dict[str, Labels], words: str
) -> None:
    for name, labels in (preds | truths).items():
        _write(tmp_path / name, labels)
    pred = tmp_path / next(iter(preds)).split("/")[0]
    truth = tmp_path / next(iter(truths), "t.tif").split("/")[0]
    with pytest.raises(ObjectsFileError, match=words):
        evaluate(pred, truth)


def test_classes_are_compared_by_name(tmp_path: Path) -> None:
    truth, pred = labels_to_table(_discs()), labels_to_table(_discs(n=3))
    save_objects(
        tmp_path / "t.geojson",
        truth.with_columns(classes=ClassScheme.of("A", "B"), class_id=np.int32([0, 0, 1, 1])),
    )
    save_objects(
        tmp_path / "p.geojson",
        pred.with_columns(classes=ClassScheme.of("B", "C", "A"), class_id=np.int32([2, 0, 0])),
    )
    report = evaluate(tmp_path / "p.geojson", tmp_path / "t.geojson")
    assert {name: a.n_matched[0] for name, a in report.classes.items()} == {"A": 1, "B": 1}
    # One of two A found, and no false one; of B one of two, and one false one.
    assert [a.pq for a in report.classes.values()] == pytest.approx([2 / 3, 1 / 2])
    assert report.mpq == pytest.approx(7 / 12)
    assert report.as_dict()["classes"]["B"]["n_pred"] == 2
    assert report.pooled.n_matched[0] == 3


def test_one_class_needs_no_second_table(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.geojson", _discs())
    report = evaluate(path, path)
    assert report.classes == {}
    assert "mpq" not in report.as_dict()


def test_real_truth_against_itself(data_dir: Path) -> None:
    folder = data_dir / "nuclei" / "tnbc" / "labels"
    only = read_split(data_dir / "nuclei" / "splits.csv", "val", dataset="tnbc")
    report = evaluate(folder, folder, only=only)
    assert (len(report.images), report.pooled.n_truth, report.pooled.pq) == (7, 504, 1)
