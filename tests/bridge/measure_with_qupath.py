"""Measure the objects of a GeoJSON file with QuPath's own commands; print what it measured.

Run as a child process, never imported: it starts a JVM::

    python measure_with_qupath.py IMAGE OBJECTS PIXEL_SIZE_UM

Shapes as of *Add shape features*, pixels of the default H&E stains at full resolution. Prints one
JSON document: ``{id: {measurement: value}}``.
"""

from __future__ import annotations

import gc
import json
import os
import sys

# Java logs to stdout, which is this script's answer: keep the real one, send all else to stderr.
ANSWER = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

from paquo import java  # noqa: E402  (starts the JVM)

FEATURES = "qupath.lib.analysis.features.ObjectMeasurements"
IMAGES = "qupath.lib.images.servers."
COLOURS = "qupath.lib.color.ColorDeconvolutionStains"


def main(image: str, objects: str, pixel_size_um: float) -> None:
    measurer = java.JClass(FEATURES)
    found = java.PathIO.readObjects(java.File(objects))
    calibration = java.JClass(IMAGES + "PixelCalibration").Builder()
    calibration = calibration.pixelSizeMicrons(pixel_size_um, pixel_size_um).build()
    measurer.addShapeMeasurements(found, calibration, [])
    uri = java.File(image).toURI().toString()
    server = java.JClass(IMAGES + "ImageServers").buildServer(uri)
    kinds = java.JClass(COLOURS + "$DefaultColorDeconvolutionStains")
    stains = java.JClass(COLOURS).makeDefaultColorDeconvolutionStains(kinds.H_E)
    builder = java.JClass(IMAGES + "TransformedServerBuilder")(server)
    separated = builder.deconvolveStains(stains, [1, 2]).build()
    arrays = java.JClass("java.util.Arrays")
    every = [
        arrays.asList(java.JClass(f"{FEATURES}${name}").values())
        for name in ("Measurements", "Compartments")
    ]
    for one in found:
        measurer.addIntensityMeasurements(separated, one, 1.0, *every)
    answer = {
        str(one.getID()): {
            str(e.getKey()): float(e.getValue())
            for e in one.getMeasurementList().asMap().entrySet()
        }
        for one in found
    }
    ANSWER.write(json.dumps(answer))
    ANSWER.flush()


if __name__ == "__main__":
    gc.disable()  # JPype would run a full collection here for each one of Java's
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
