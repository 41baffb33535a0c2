"""Small folders and files of models, as users have them."""

from __future__ import annotations

import json

from napari_histo.core import Thresholds
from napari_histo.models.cellpose.net import save_cellpose_net
from napari_histo.models.stardist.files import save_shipped
from support.cellpose_nets import random_net
from support.stardist_nets import eager_net


def stardist_folder(path, **card):
    """A StarDist model with a card."""
    save_shipped(path, eager_net(), Thresholds(0.6, 0.3))
    words = {"licence": "CC0-1.0", "pixel_size_um": 0.5, "parent": "he-nuclei", **card}
    (path / "card.json").write_text(json.dumps(words))
    return path


def cellpose_file(path):
    """A network of Cellpose, small."""
    save_cellpose_net(path, random_net())
    return path
