"""Which slides are one patient's, by their folders; tables are tested by commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_histo.learning.project.groups import by_folder
from napari_histo.learning.project.making import NewImage


@pytest.mark.parametrize(
    ("paths", "groups"),
    [
        pytest.param([], [], id="none"),
        pytest.param(["/a/p1/1.tif", "/a/p1/2.tif"], ["p1", "p1"], id="one-folder"),
        pytest.param(["/a/p1/1.tif", "/a/p2/1.tif"], ["p1", "p2"], id="two"),
        pytest.param(["/a/x/HE/1.tif", "/a/y/HE/1.tif"], ["x/HE", "y/HE"], id="same-name"),
        pytest.param(["/a/1.tif", "/a/p2/1.tif"], ["a", "p2"], id="one-in-the-other"),
        pytest.param(["/a/p1/1.tif", "/b/p1/1.tif"], ["a/p1", "b/p1"], id="nothing-shared"),
    ],
)
def test_a_group_is_called_by_its_folder(paths, groups):
    images = [NewImage(Path(path)) for path in paths]
    assert [image.group for image in by_folder(images)] == groups
