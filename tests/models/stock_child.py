"""What the stardist package finds with a folder that this package wrote; a program of its own.

    python stock_child.py FOLDER

FOLDER/model is the folder, FOLDER/image.npy a normalised image; writes FOLDER/found.npz.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main() -> None:
    from stardist.models import StarDist2D

    folder = Path(sys.argv[1])
    model = StarDist2D(None, name="model", basedir=str(folder))
    labels, found = model.predict_instances(np.load(folder / "image.npy"))
    np.savez(folder / "found.npz", labels=labels, **found)


if __name__ == "__main__":
    main()
