from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_histo.errors import HistoError, ObjectsFileError
from napari_histo.learning.simulation.truth_folder import open_truth

HEADER = "dataset,stain,pixel_size_um,group,id,split"


def make(folder: Path, rows: list[str], *, side: int = 10) -> Path:
    """Images of 64 px, each with one square nucleus."""
    for row in rows:
        dataset, *_, name, _ = row.split(",")
        for kind in ("images", "labels"):
            (folder / dataset / kind).mkdir(parents=True, exist_ok=True)
        labels = np.zeros((64, 64), np.uint16)
        labels[20 : 20 + side, 20 : 20 + side] = 1
        Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(
            folder / dataset / "images" / f"{name}.png"
        )
        Image.fromarray(labels).save(folder / dataset / "labels" / f"{name}.png")
    (folder / "splits.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


ROWS = [f"a,H&E,0.25,patient {i // 2},{i},train" for i in range(10)]
ROWS += ["a,H&E,0.25,patient 9,98,val", "b,blue,,field,99,val"]


def test_groups_of_the_training_split_choose_thresholds_and_none_is_cut(tmp_path: Path) -> None:
    with open_truth(make(tmp_path, ROWS), ["H&E"]) as images:
        splits = {image.name: image.split for image in images}
    assert Counter(splits.values()) == {"train": 8, "judge": 2, "test": 1}
    assert splits["98"] == "test"
    assert all(splits[str(i)] == splits[str(i + 1)] for i in range(0, 10, 2))


def test_the_seed_draws_them(tmp_path: Path) -> None:
    folder, drawn = make(tmp_path, ROWS), set()
    for seed in range(8):
        with open_truth(folder, ["H&E"], seed=seed) as images:
            drawn.add(tuple(i.name for i in images if i.split == "judge"))
    assert len(drawn) > 1


def test_an_unknown_pixel_size_is_that_of_usual_nuclei(tmp_path: Path) -> None:
    with open_truth(make(tmp_path, ROWS), nucleus_um=5.0) as images:
        sizes = {image.name: image.pixel_size.x_um for image in images}
        assert {len(image.truth) for image in images} == {1}
    assert sizes["0"] == 0.25
    assert sizes["99"] == pytest.approx(5.0 / np.sqrt(4 / np.pi * 100))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (None, "cannot be read"),
        ("id,split\n1,train\n", "lacks the column dataset"),
        (f"{HEADER}\n", "No image"),
    ],
    ids=["missing", "columns", "empty"],
)
def test_a_table_that_will_not_do_is_named(tmp_path: Path, table: str | None, said: str) -> None:
    if table is not None:
        (tmp_path / "splits.csv").write_text(table)
    with pytest.raises(ObjectsFileError, match=said), open_truth(tmp_path, ["H&E"]):
        pass


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    make(tmp_path, ROWS)
    (tmp_path / "a" / "images" / "3.png").unlink()
    with pytest.raises(HistoError, match=r"3\.png"), open_truth(tmp_path):
        pass
