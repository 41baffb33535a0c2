"""QuPath with an image open, led by lines on stdin; run as a child process, never imported.

Uses QuPath's own calls alone: ``open PROJECT ENTRY``, ``add X Y`` (an annotation), ``classify
ID NAME``, ``reshape ID LEFT TOP RIGHT BOTTOM``, ``delete ID``, ``ids`` and ``save``, which is what
Ctrl+S does. Answers each by one JSON line.
"""

from __future__ import annotations

import gc
import json
import os
import sys

ANSWER = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

from paquo import java  # noqa: E402  (starts the JVM)

ProjectIO = java.JClass("qupath.lib.projects.ProjectIO")
BufferedImage = java.JClass("java.awt.image.BufferedImage")
File = java.JClass("java.io.File")
ROIs = java.JClass("qupath.lib.roi.ROIs")
ImagePlane = java.JClass("qupath.lib.regions.ImagePlane")
PathObjects = java.JClass("qupath.lib.objects.PathObjects")
PathClass = java.JClass("qupath.lib.objects.classes.PathClass")


class Window:
    """An image as a user has it open."""

    def open(self, project, entry_id):
        loaded = ProjectIO.loadProject(File(project), BufferedImage)
        (self.entry,) = [e for e in loaded.getImageList() if str(e.getID()) == entry_id]
        self.data = self.entry.readImageData()
        return self.ids()

    @property
    def objects(self):
        root = self.data.getHierarchy().getRootObject()
        return {
            str(o.getID()): o for o in self.data.getHierarchy().getObjects(None, None) if o != root
        }

    def ids(self):
        return sorted(self.objects)

    def add(self, x, y=1.0):
        roi = ROIs.createRectangleROI(float(x), float(y), 9.0, 9.0, ImagePlane.getDefaultPlane())
        added = PathObjects.createAnnotationObject(roi)
        self.data.getHierarchy().addObject(added)
        return str(added.getID())

    def classify(self, key, name):
        self.objects[key].setPathClass(PathClass.fromString(name))

    def reshape(self, key, left, top, right, bottom):
        size = float(right - left), float(bottom - top)
        plane = ImagePlane.getDefaultPlane()
        self.objects[key].setROI(ROIs.createRectangleROI(float(left), float(top), *size, plane))

    def delete(self, key):
        self.data.getHierarchy().removeObject(self.objects[key], True)

    def save(self):
        self.entry.saveImageData(self.data)


if __name__ == "__main__":
    gc.disable()  # JPype would run a full collection here for each one of Java's
    window = Window()
    for line in sys.stdin:
        words = json.loads(line)
        ANSWER.write(json.dumps(getattr(window, words[0])(*words[1:])) + "\n")
        ANSWER.flush()
    os._exit(0)
