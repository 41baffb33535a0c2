"""The words of training a Cellpose network. Light: no network is imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_histo.learning.course.params import PatchParams

__all__ = ["CELLPOSE_FAMILY", "CellposeTraining", "SamTraining"]

#: Of networks of Cellpose.
CELLPOSE_FAMILY = "cellpose"
#: Side of Cellpose-SAM's windows.
_SAM_PX = 256


@dataclass(frozen=True)
class CellposeTraining(PatchParams):
    """How to train a network of Cellpose 1 to 3; what is not here, `PatchParams` says.

    The rate is 2e-3 by default for a new network, 5e-4 for one that goes on. Sides of patches are
    multiples of 8. The parent's answers are heard on patches of earlier rounds.

    Attributes
    ----------
    diameter_um : float or None
        Of the objects, µm: images are scaled so that it becomes the diameter in px that the
        network was trained at. By default a network from a file takes the median of the objects
        that teach, where all images have a pixel size; one from a folder keeps its own scale.
    """

    steps: int = 200
    diameter_um: float | None = None

    def _wrong(self) -> Iterator[str]:
        yield from super()._wrong()
        if self.diameter_um is not None and self.diameter_um <= 0:
            yield f"diameter_um = {self.diameter_um}, allowed is above 0"


@dataclass(frozen=True)
class SamTraining(CellposeTraining):
    """How to fine-tune Cellpose-SAM; what is not here, `CellposeTraining` says.

    The rate is 1e-3 by default where the neck and the readout learn alone, 5e-5 with blocks of the
    transformer. Patches are windows of the network: of 256 px. Images are taken as they are unless
    `diameter_um` is given.

    Attributes
    ----------
    blocks : int
        Last blocks of the transformer that learn beside the neck and the readout; it has 24. Each
        takes about 0.6 GB of memory, and 0.3 GB more a patch of a batch.
    patches : int or None
        Different patches that are drawn in all, again and again, in full batches: the layers that
        do not learn see each of them once, and that is nearly all of the work on a processor. None
        for new ones at each step.
    """

    batch: int = 4
    patch_px: int = 256
    blocks: int = 0
    patches: int | None = 64

    def _wrong(self) -> Iterator[str]:
        yield from super()._wrong()
        if self.patch_px != _SAM_PX:
            yield f"patch_px = {self.patch_px}, allowed is {_SAM_PX} alone"
        if self.blocks < 0:
            yield f"blocks = {self.blocks}, allowed is 0 or more"
        if self.patches is not None and self.patches < 1:
            yield f"patches = {self.patches}, allowed is 1 or more, or None"
