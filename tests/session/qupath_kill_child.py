"""Edit an image, sync it from the session, and be killed at a step: ``… FOLDER STEP``."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np

from napari_histo.session import AnnotationController, AnnotationTools, ImageChoice
from napari_histo.session.annotate.document import Document
from napari_histo.session.qupath.controller import QuPathController
from napari_histo.session.qupath.memory import Memory
from napari_histo.session.qupath.work import QuPathTools
from napari_histo.slides import ArrayReader
from qupath_bridge import pair
from support.fake_qupath import FakeQuPath, squares
from support.inbox import Inbox


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, step: str) -> None:
    inbox = Inbox()
    bridge, document = (
        FakeQuPath(folder / "project.qpproj"),
        partial(Document.open, data_folder=folder / "journals"),
    )
    desk = AnnotationController(inbox, AnnotationTools(None, document))
    tools = QuPathTools(lambda _: bridge, lambda: "", data_folder=folder / "journals")
    memory = Memory(folder / "memory.json")
    session = QuPathController(inbox, lambda: desk, tools, memory)

    session.open_project(bridge.project.file)
    inbox.wait(lambda: not session.state.is_listing)
    image = ImageChoice("layer", ArrayReader(np.zeros((200, 300, 3), np.uint8), name="slide.tif"))
    desk.open(image, target=session.state.rows[0].file)
    inbox.wait(lambda: desk.state.is_open)
    desk.select([squares(5).uuid(0)])
    desk.relabel("Necrosis")
    if step == "read":
        bridge.hold = die
    session.compare("sync")
    inbox.wait(lambda: session.state.preview is not None)
    bridge.hold = die if step == "project" else bridge.hold
    if step in ("_write_ours", "save_base"):
        setattr(pair, step, die)
    session.write()
    inbox.wait(lambda: False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
