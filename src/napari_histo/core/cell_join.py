"""How nuclei and cells become cells with nuclei."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Alone", "JoinRequest"]


class Alone(StrEnum):
    """What becomes of an object without a partner."""

    KEEP = "keep"
    EXPAND = "expand"
    DROP = "drop"


@dataclass(frozen=True)
class JoinRequest:
    """How nuclei and cells are joined.

    Attributes
    ----------
    least_share : float
        Share of a nucleus that must lie in its cell.
    nuclei_alone : Alone
        Nuclei without a cell stay as they are, are expanded by `expand_um`, or go.
    cells_alone : Alone
        Cells without a nucleus stay, or go; they cannot be expanded.
    expand_um : float
        How far nuclei without a cell grow, at most; never into another cell.
    tile_px : int
        Side of the tiles that pairs are looked for in; changes memory, not the result.
    """

    least_share: float = 0.5
    nuclei_alone: Alone = Alone.KEEP
    cells_alone: Alone = Alone.KEEP
    expand_um: float = 5.0
    tile_px: int = 2048

    def __post_init__(self) -> None:
        if not 0 < self.least_share <= 1:
            raise ValueError(f"least_share is {self.least_share}; it must be above 0, at most 1.")
        if self.cells_alone is Alone.EXPAND:
            raise ValueError("Cells without a nucleus are kept or dropped, not expanded.")
