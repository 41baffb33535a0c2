"""The shipped models reach on real validation images what their cards promise."""

from __future__ import annotations

import csv

import pytest

pytestmark = pytest.mark.slow


def validation(data_dir, dataset):
    """Images and labels folder of the validation split of a dataset."""
    folder = data_dir / "nuclei" / dataset
    with (data_dir / "nuclei" / "splits.csv").open() as table:
        ids = {
            r["id"] for r in csv.DictReader(table) if (r["dataset"], r["split"]) == (dataset, "val")
        }
    return sorted(p for p in (folder / "images").iterdir() if p.stem in ids), folder / "labels"


@pytest.mark.parametrize(
    ("model", "dataset", "pixel_size", "f1", "pq"),
    [
        pytest.param("he-nuclei", "tnbc", "0.25", 0.80, 0.62, id="he-nuclei"),
        pytest.param("fluo-nuclei", "dsb2018/fluorescence", "model", 0.88, 0.74, id="fluo-nuclei"),
    ],
)
def test_promised_figures(data_dir, tmp_path, cli, model, dataset, pixel_size, f1, pq):
    from napari_histo.pipeline.evaluate import evaluate

    images, labels = validation(data_dir, dataset)
    assert images
    ran = cli(
        *("segment", *images, "-o", tmp_path / "found", "--model", model),
        *("--pixel-size", pixel_size, "--format", "labels"),
    )
    assert ran.code == 0, ran.err
    report = evaluate(tmp_path / "found", labels).as_dict()
    assert report["n_images"] == len(images)
    assert report["f1"] >= f1
    assert report["pq"] >= pq
