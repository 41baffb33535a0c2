"""Make a project with QuPath itself: one image seen through several steps, each with annotations.

Or change it as a user of QuPath would, to see what is noticed.

Run as a child process, never imported: it starts a JVM, which cannot be restarted in one process
and must not share napari's::

    python make_project_with_qupath.py make IMAGE FOLDER
    python make_project_with_qupath.py change FOLDER

``FOLDER/seen/<id>.png`` is each image as QuPath shows it. ``make`` prints one JSON object: the
version, and by id the name, the URIs, height and width as QuPath tells them.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Java logs to stdout, which is this script's answer: keep the real one, send all else to stderr.
ANSWER = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

from paquo import java  # noqa: E402  (starts the JVM)

SERVERS = "qupath.lib.images.servers."
Transformed = java.JClass(SERVERS + "TransformedServerBuilder")
Rotation = java.JClass(SERVERS + "RotatedImageServer$Rotation")
ImageServers = java.JClass(SERVERS + "ImageServers")
ImageRegion = java.JClass("qupath.lib.regions.ImageRegion")
RegionRequest = java.JClass("qupath.lib.regions.RegionRequest")
BufferedImage = java.JClass("java.awt.image.BufferedImage")
AffineTransform = java.JClass("java.awt.geom.AffineTransform")
ImageIO = java.JClass("javax.imageio.ImageIO")
Projects = java.JClass("qupath.lib.projects.Projects")
ProjectIO = java.JClass("qupath.lib.projects.ProjectIO")
ROIs = java.JClass("qupath.lib.roi.ROIs")
PathObjects = java.JClass("qupath.lib.objects.PathObjects")
ImagePlane = java.JClass("qupath.lib.regions.ImagePlane")


def views(plain: Any) -> Iterator[tuple[str, Any]]:
    """The image as it is and through each step."""
    yield "plain", plain
    for degrees in (90, 180, 270):
        rotation = getattr(Rotation, f"ROTATE_{degrees}")
        yield f"rotated {degrees}", Transformed(plain).rotate(rotation).build()
    region = ImageRegion.createInstance(7, 3, 20, 12, 0, 0)
    yield "cropped", Transformed(plain).crop(region).build()
    both = Transformed(plain).crop(region).rotate(Rotation.ROTATE_90).build()
    yield "cropped, rotated", both
    shift = AffineTransform.getTranslateInstance(5.0, 7.0)
    yield "affine", Transformed(plain).transform(shift).build()
    yield "channels", Transformed(plain).concatChannels(plain).build()
    yield "pyramidize", ImageServers.pyramidalizeTiled(plain, 8, 8, [1.0, 2.0])


def annotate(data: Any, x: float) -> None:
    """Add a square annotation."""
    roi = ROIs.createRectangleROI(x, 1.0, 3.0, 3.0, ImagePlane.getDefaultPlane())
    data.getHierarchy().addObject(PathObjects.createAnnotationObject(roi))


def add(project: Any, name: str, server: Any, seen: Path) -> dict[str, Any]:
    """Add an image with two annotations, save it, and keep what QuPath shows."""
    entry = project.addImage(server.getBuilder())
    entry.setImageName(name)
    data = entry.readImageData()
    for x in (1.0, 5.0):
        annotate(data, x)
    entry.saveImageData(data)
    if server.nChannels() == 3:
        shown = server.readRegion(RegionRequest.createInstance(server))
        ImageIO.write(shown, "PNG", java.File(str(seen / f"{entry.getID()}.png")))
    return {
        "name": name,
        "uris": [str(uri) for uri in entry.getURIs()],
        "shape": [int(server.getHeight()), int(server.getWidth())],
    }


def make(image: Path, folder: Path) -> None:
    """Make the project in `folder`, which is made."""
    seen = folder / "seen"
    seen.mkdir(parents=True)
    project = Projects.createProject(java.File(str(folder / "project.qpproj")), BufferedImage)
    plain = ImageServers.buildServer(image.as_uri())
    answers = {}
    for i, (name, server) in enumerate(views(plain), start=1):
        answers[str(i)] = add(project, name, server, seen)
    project.syncChanges()
    ANSWER.write(json.dumps({"version": str(java.qupath_version), "images": answers}))
    ANSWER.flush()


def change(folder: Path) -> None:
    """Draw in image 1, save 2 as it was, rename 3, put metadata to 4, describe 5, remove 6."""
    project = ProjectIO.loadProject(java.File(str(folder / "project.qpproj")), BufferedImage)
    drawn, saved, renamed, noted, described, removed, *_ = list(project.getImageList())
    data = drawn.readImageData()
    annotate(data, 9.0)
    drawn.saveImageData(data)
    saved.saveImageData(saved.readImageData())
    renamed.setImageName("another name")
    noted.putMetadataValue("round", "2")
    described.setDescription("seen")
    project.removeImage(removed, False)
    project.syncChanges()


if __name__ == "__main__":
    gc.disable()  # JPype would run a full collection here for each one of Java's
    {"make": make, "change": change}[sys.argv[1]](*map(Path, sys.argv[2:]))
