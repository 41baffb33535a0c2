"""The images of a split: which file says so, and for which data set."""

from __future__ import annotations

import pytest

from napari_histo.errors import ObjectsFileError
from napari_histo.pipeline.splits import find_split

TABLE = """dataset,id,split
tnbc,a,train
tnbc,b,val
dsb,c,val
dsb/gray,d,val
dsb/gray,e,train
"""


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        pytest.param("tnbc/labels", {"b"}, id="of one data set"),
        pytest.param("tnbc", {"b"}, id="the data set itself"),
        pytest.param("dsb/gray/labels", {"d"}, id="of the nearer of two"),
        pytest.param("dsb/labels", {"c"}, id="of the outer of two"),
        pytest.param("dsb_more/labels", {"b", "c", "d"}, id="a longer name is another"),
        pytest.param(".", {"b", "c", "d"}, id="beside the file"),
    ],
)
def test_the_data_set_is_known_by_its_place(tmp_path, folder, names):
    (tmp_path / "splits.csv").write_text(TABLE)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    assert find_split([tmp_path / folder], "val") == names


def test_the_first_folder_with_a_table_decides(tmp_path):
    for name, found in (("results", "x"), ("truth", "y")):
        (tmp_path / name / "labels").mkdir(parents=True)
        (tmp_path / name / "splits.csv").write_text(f"id,split\n{found},val\n")
    (tmp_path / "bare").mkdir()
    folders = [tmp_path / name / "labels" for name in ("truth", "results")]
    assert find_split([tmp_path / "bare", *folders], "val") == {"y"}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        pytest.param(None, "no splits.csv in or above", id="no table"),
        pytest.param("name,part\na,val\n", "lacks the column id and split", id="other columns"),
        pytest.param("id,split\na,train\n", r"'val'; known: \['train'\]", id="unknown split"),
        pytest.param("id,split\n\xe9,val\n", "cannot be read", id="not UTF-8"),
        pytest.param("dataset,id,split\nlabels,a,train\nx,b,val\n", "of labels", id="elsewhere"),
    ],
)
def test_refusals_say_what_is_wrong(tmp_path, table, words):
    (tmp_path / "labels").mkdir()
    if table is not None:
        (tmp_path / "splits.csv").write_text(table, encoding="latin-1")
    with pytest.raises(ObjectsFileError, match=words):
        find_split([tmp_path / "labels"], "val")


def test_spreadsheets_mark_at_the_start_is_no_part_of_a_name(tmp_path):
    (tmp_path / "splits.csv").write_text("id,split\na,val\n", encoding="utf-8-sig")
    assert find_split([tmp_path], "val") == {"a"}
