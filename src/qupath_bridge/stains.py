# SPDX-License-Identifier: GPL-3.0-or-later
"""Stain vectors of an image, told without Java from what QuPath wrote into its history.

QuPath notes each setting of stain vectors (by *Estimate stain vectors*, by choosing the image type,
by a script) as a step of the image's workflow, with the line of script that repeats it. The line
stands as plain text in the serialised ``data.qpdata``, and the last one is what counts.
"""

from __future__ import annotations

import mmap
from pathlib import Path

__all__ = ["read_stains"]

_START, _END = b"setColorDeconvolutionStains('", b"')"
_LONGEST = 4096


def read_stains(data: Path) -> str:
    """What ``setColorDeconvolutionStains`` was last given, as JSON text; empty where it never was.

    Parameters
    ----------
    data : Path
        ``data.qpdata``; read in one pass from its end.
    """
    try:
        with data.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            at = text.rfind(_START)
            words = b"" if at < 0 else text[at + len(_START) : at + _LONGEST]
    except (OSError, ValueError):  # ValueError: an empty file cannot be mapped
        return ""
    said, end, _ = words.partition(_END)
    return said.decode("utf-8", "replace") if end else ""
