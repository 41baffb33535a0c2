"""The words of training a Cellpose network. Light: no network is imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_histo.learning.course.params import PatchParams

__all__ = ["CELLPOSE_FAMILY", "CellposeTraining"]

#: Of networks of Cellpose.
CELLPOSE_FAMILY = "cellpose"


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
