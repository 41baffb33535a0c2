"""Make a QuPath project with blank images by plain paquo; run as a child process.

``python make_project.py FOLDER [--images N] [--width N] [--class NAME RRGGBB ...]``
"""

from __future__ import annotations

import argparse
import gc
from pathlib import Path

from paquo.classes import QuPathPathClass
from paquo.images import QuPathImageType
from paquo.projects import QuPathProject
from PIL import Image


def main(folder: Path, n_images: int, width: int, classes: list[tuple[str, str]]) -> None:
    folder.mkdir(parents=True)
    with QuPathProject(folder / "project", mode="x") as project:
        for i in range(n_images):
            image = folder / f"slide {i}.png"
            Image.new("RGB", (width, width), (240, 230, 240)).save(image)
            project.add_image(image, image_type=QuPathImageType.BRIGHTFIELD_H_E)
        if classes:
            project.path_classes = [
                QuPathPathClass(name, color=f"#{colour}") for name, colour in classes
            ]
        project.save()


if __name__ == "__main__":
    gc.disable()
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--class", nargs=2, action="append", default=[], dest="classes")
    arguments = parser.parse_args()
    classes = [(name, colour) for name, colour in arguments.classes]
    main(arguments.folder, arguments.images, arguments.width, classes)
