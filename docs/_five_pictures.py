"""Pictures of the Segment panel on five kinds of image."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import napari
from _window import DATA, settle, take, wait

from napari_histo.plugin.geometry import show_whole
from napari_histo.plugin.segment.dock import SegmentDock
from napari_histo.session import Phase

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.five_images import KINDS, Kind, write

__all__ = ["five_views"]

_WINDOW_PX = (1400, 900)
_NAMES = {"H&E": "he", "H-DAB": "h-dab", "z-series": "z-series"}


def five_views(out: Path) -> None:
    """``segment-KIND.png`` of each kind, with what was found."""
    for name, kind in KINDS.items():
        with tempfile.TemporaryDirectory() as work:
            path = _file(name, Path(work))
            _one(path, kind, out / f"segment-{_NAMES.get(name, name)}.png")


def _file(name: str, work: Path) -> Path:
    if name != "z-series":
        return write(name, work)
    real = DATA / "slides" / "multi-channel-z-series.ome.tif"
    return Path(shutil.copy(real, work / real.name))


def _one(path: Path, kind: Kind, picture: Path) -> None:
    viewer = napari.Viewer()
    viewer.window.resize(*_WINDOW_PX)
    layers = viewer.open(path, plugin="napari-histo")
    dock = SegmentDock(viewer)
    viewer.window.add_dock_widget(dock, name="Segment nuclei", area="right")
    form, state = dock.form, dock.controller.state
    boxes = [(form.model_box, kind.model), (form.colours.stain_box, kind.stain)]
    boxes += [(form.channels.plane_box, kind.planes)]
    for box, text in boxes:
        if text:
            box.setCurrentIndex(box.findText(text))
    if kind.stain:
        form.colours.preview_box.setChecked(True)
    if state.needs_pixel_size:
        form.pixel_size.setValue(0.5)
    settle(1)
    form.run_button.click()
    wait(lambda: state.phase is Phase.IDLE and len(state.devices) > 1)
    if state.error or state.result is None:
        raise SystemExit(state.error)
    print(f"{path.name}: {state.result.statistics.count} objects")
    show_whole(viewer, layers[0])
    take(viewer, picture)
    viewer.close()


if __name__ == "__main__":
    from _window import IMAGES

    five_views(IMAGES)
