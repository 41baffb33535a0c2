"""A user of QuPath in a round: ``python annotate_with_qupath.py PROJECT`` as a child process.

Opens the project and says so; after a line on stdin opens its first image, does what the region
asks for, and saves the image and the project from QuPath's own memory. Prints, as JSON, what a
QuPath that opens the project anew sees.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

# Java logs to stdout, which is this script's answer: keep the real one, send all else to stderr.
ANSWER = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

from paquo import java  # noqa: E402  (starts the JVM)

ProjectIO = java.JClass("qupath.lib.projects.ProjectIO")
BufferedImage = java.JClass("java.awt.image.BufferedImage")
PathClass = java.JClass("qupath.lib.objects.classes.PathClass")
PathObjects = java.JClass("qupath.lib.objects.PathObjects")
ROIs = java.JClass("qupath.lib.roi.ROIs")
ImagePlane = java.JClass("qupath.lib.regions.ImagePlane")
File = java.JClass("java.io.File")


def opened(path: str) -> Any:
    return ProjectIO.loadProject(File(path), BufferedImage)


def seen(item: Any) -> dict[str, Any]:
    """What QuPath shows of an object."""
    names = item.getMeasurementList().getMeasurementNames()
    return {
        "id": str(item.getID()),
        "class": str(item.getPathClass()) if item.getPathClass() else None,
        "name": str(item.getName()) if item.getName() else None,
        "locked": bool(item.isLocked()),
        "rectangle": bool(item.getROI().getClass().getSimpleName() == "RectangleROI"),
        "measurements": {str(n): float(item.getMeasurementList().get(n)) for n in names},
        "metadata": {str(e.getKey()): str(e.getValue()) for e in item.getMetadata().entrySet()},
        "parent": str(item.getParent().getID()),
    }


def centre_x(item: Any) -> float:
    return float(item.getROI().getCentroidX())


def annotate(hierarchy: Any) -> None:
    """Of the predictions one goes, one gets another class, the rest stay; one object is drawn."""
    region = next(iter(hierarchy.getAnnotationObjects()))
    first, second = sorted(
        hierarchy.getDetectionObjects(), key=lambda d: d.getROI().getCentroidX()
    )[:2]
    hierarchy.removeObject(first, True)
    second.setPathClass(PathClass.fromString("Stroma"))
    plane = ImagePlane.getDefaultPlane()
    hierarchy.addObject(
        PathObjects.createAnnotationObject(ROIs.createEllipseROI(40, 80, 20, 20, plane))
    )
    region.setPathClass(PathClass.fromString("Region: done"))


def main(path: str) -> None:
    project = opened(path)
    print("open", file=ANSWER, flush=True)
    sys.stdin.readline()
    entry = project.getImageList()[0]
    data = entry.readImageData()
    before = [seen(o) for o in data.getHierarchy().getObjects(None, None) if not o.isRootObject()]
    fresh = opened(path)
    answer = {
        "objects": before,
        "classes": [str(c) for c in fresh.getPathClasses()],
        "metadata": {
            str(e.getKey()): str(e.getValue())
            for e in fresh.getImageList()[0].getMetadataMap().entrySet()
        },
    }
    annotate(data.getHierarchy())
    entry.saveImageData(data)
    project.syncChanges()
    print(json.dumps(answer), file=ANSWER, flush=True)
    os._exit(0)


if __name__ == "__main__":
    gc.disable()
    main(sys.argv[1])
