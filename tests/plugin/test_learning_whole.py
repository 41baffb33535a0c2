"""Two rounds in the Active learning panel by mouse and key, with the real tools."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_histo.core import Box
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.rounds.tools import real_tools
from napari_histo.slides import open_slide

pytestmark = pytest.mark.gui
ROOT = Path(__file__).parents[2]


@pytest.fixture
def sample_slides(tmp_path):
    """Four parts of the sample image of H&E as slides."""
    with open_slide(ROOT / "sample_data" / "he_tile.ome.tif") as reader:
        info, paths = reader.info, []
        per_cm = 10_000 / info.pixel_size.x_um
        w = h = 192  # px: choosing looks at each pixel many times
        for i in range(4):
            paths.append(tmp_path / f"part {i}.tif")
            tifffile.imwrite(
                paths[-1],
                reader.read(Box(w * (i % 2), h * (i // 2), w, h)),
                photometric="rgb",
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
            )
    return paths


@pytest.mark.slow
def test_two_rounds_by_mouse_and_key_with_the_real_tools(
    make_panel, tmp_path, sample_slides, monkeypatch
):
    images = [
        NewImage(path, split="validation" if i == 3 else "train")
        for i, path in enumerate(sample_slides)
    ]
    settings = Settings(region_px=64, regions=2, validation_regions=2)
    made = create_project(
        tmp_path / "p", NewProject(images, "he-nuclei-fast", "p", settings=settings)
    )
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(made.path))
    panel = make_panel(real_tools("cpu"), {"steps": 2})
    deleted = []
    panel.until(panel.form.open_button.isVisible)
    panel.press(panel.form.open_button)
    panel.idle()
    for number in (1, 2):
        panel.press(panel.form.round_button)
        panel.idle()
        assert panel.state.overview.number == number
        rows = panel.state.regions
        panel.form.regions.setFocus()
        QTest.keyClick(panel.form.regions, Qt.Key.Key_Return)
        panel.shown(rows[0])
        deleted.append(panel.delete_by_hand(rows[0]))
        for row in rows:
            panel.shown(row)
            assert panel.state.chosen == row.region_id
            panel.press(panel.form.done_button)
        panel.until(lambda: panel.state.n_waiting == 0)
        panel.press(panel.form.train_button)
        panel.idle()
        assert panel.form.sentence.text().startswith(f"Round {number}: ")
        assert panel.form.rounds.rowCount() == number + 1
        labels = panel.state.project.round(number).labels("train")
        learned = {key for kept in labels for key in kept.labels.objects.uuids()}
        assert learned
        assert not learned & set(deleted)
    assert verify_project(panel.state.project) == []
