"""Running the command line inside the test's process."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class Ran:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch, capsys):
    """``cli("segment", …)``: run a command as the shell would."""
    from napari_histo.cli import _console, main

    # Consoles remember the streams of import time; give them this test's.
    for console in (_console.out, _console.err):
        monkeypatch.setattr(console, "width", 10_000)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["napari-histo", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def blobs():
    """(200, 260, 3) uint8: 12 dark round nuclei of about 7 µm at 0.5 µm/px on a pink ground."""
    image = np.full((200, 260, 3), (236, 190, 215), np.uint8)
    y, x = np.mgrid[:200, :260]
    for row in range(3):
        for column in range(4):
            inside = np.hypot(x - 35 - 60 * column, y - 35 - 60 * row) < 7
            image[inside] = (90, 60, 140)
    return image


@pytest.fixture
def blob_tiff(tmp_path, blobs):
    """The same as OME-TIFF with its pixel size."""
    import tifffile

    path = tmp_path / "blobs.ome.tif"
    tifffile.imwrite(
        path,
        blobs,
        photometric="rgb",
        metadata={
            "axes": "YXS",
            "PhysicalSizeX": 0.5,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.5,
            "PhysicalSizeYUnit": "µm",
        },
    )
    return path
