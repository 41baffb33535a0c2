# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of QuPath's readers an image file needs, and what to do where QuPath lacks it.

QuPath itself reads PNG, JPEG and plain TIFF; for other formats it brings extensions along. paquo
starts it with what lies in its own folder alone, so that the jars there tell what it can read.
"""

from __future__ import annotations

from pathlib import Path

from qupath_bridge.locate import QuPathInstall

__all__ = ["UNREAD", "why_unread"]

#: How the Java side begins where no reader opens a file.
UNREAD = "no reader of this QuPath opens it"
_BOTH, _OPENSLIDE, _BIOFORMATS = ("OpenSlide", "Bio-Formats"), ("OpenSlide",), ("Bio-Formats",)
#: Readers of which one is enough, by the file's ending in lower case.
_NEEDED = {
    **dict.fromkeys((".svs", ".ndpi", ".scn", ".bif"), _BOTH),
    **dict.fromkeys((".mrxs", ".vms", ".vmu", ".svslide"), _OPENSLIDE),
    **dict.fromkeys((".tif", ".tiff", ".btf", ".tf2", ".tf8", ".qptiff"), _BIOFORMATS),
    **dict.fromkeys((".czi", ".lif", ".nd2", ".vsi", ".lsm", ".stk", ".zvi"), _BIOFORMATS),
    **dict.fromkeys((".oib", ".oif", ".dcm"), _BIOFORMATS),
}


def why_unread(file: Path, install: QuPathInstall) -> str:
    """Why QuPath does not open a file, and what to do; begins with `UNREAD`, without a full stop.

    Parameters
    ----------
    file : Path
    install : QuPathInstall
        The one that was asked.
    """
    needed = _NEEDED.get(file.suffix.lower(), ())
    if not needed or install.readers & set(needed):
        return f"{UNREAD}; it may be damaged"
    return (
        f"{UNREAD}. Most likely it needs {' or '.join(needed)}, which the QuPath in "
        f"{install.path} lacks: install the whole QuPath from qupath.github.io, which brings "
        f"{'both' if len(needed) > 1 else 'it'}, or name the folder of one that is here in "
        "PAQUO_QUPATH_DIR. Otherwise the file is damaged"
    )
