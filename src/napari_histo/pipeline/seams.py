"""Choosing among proposals across tiles, exactly as if there were no tiles.

Greedy non-maximum suppression keeps a proposal exactly when no kept, likelier one covers it. That
rule is local, and by induction on the probability only one set obeys it. So each tile decides with
its neighbours' proposals at hand; where two tiles come to the same verdict about everything near
their seam, the joint answer obeys the rule and is that of the whole image. Tiles that disagree
(a chain of overlaps ran across more than one tile) are decided together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, Proposals, Segmenter, Thresholds, TileGrid

__all__ = ["choose"]

#: How far a tile listens to its neighbours' proposals, in reaches. One is enough to be exact; more
#: makes verdicts agree at once, so that fewer tiles have to be decided together.
_HALO = 2


def choose(
    grid: TileGrid, owned: Sequence[Proposals], model: Segmenter, thresholds: Thresholds
) -> list[NDArray[np.int64]]:
    """Rows of each tile's proposals that survive.

    Parameters
    ----------
    grid : TileGrid
    owned : sequence of Proposals
        One a tile: the proposals anchored in what it owns.
    model : Segmenter
        Its `select` decides.
    thresholds : Thresholds

    Returns
    -------
    list of arrays
        One a tile, ascending; together what `select` would keep of all proposals at once.
    """
    reach = max((model.reach_px(p) for p in owned), default=0.0)
    domains = _Domains(grid, owned, model, thresholds, reach)
    domains.settle()
    return domains.kept()


class _Domains:
    """Groups of tiles that are decided together; one a tile at first."""

    def __init__(
        self,
        grid: TileGrid,
        owned: Sequence[Proposals],
        model: Segmenter,
        thresholds: Thresholds,
        reach: float,
    ) -> None:
        self.grid, self.owned, self.model, self.thresholds = grid, owned, model, thresholds
        self.reach = reach
        self.leader = list(range(len(grid)))
        self.members = {i: [i] for i in self.leader}
        self.verdicts: dict[int, dict[int, NDArray[np.bool_]]] = {}

    def settle(self) -> None:
        """Decide all domains, join those that disagree, and again until none do."""
        pending = set(self.leader)
        while pending:
            for leader in pending:
                self.verdicts[leader] = self._decide(leader)
            pending = self._join_disagreeing()

    def kept(self) -> list[NDArray[np.int64]]:
        return [
            np.flatnonzero(self.verdicts[leader][tile]) for tile, leader in enumerate(self.leader)
        ]

    def _decide(self, leader: int) -> dict[int, NDArray[np.bool_]]:
        """Verdict of a domain on its own and its surroundings' proposals: kept or not, by tile."""
        heard: dict[int, NDArray[np.bool_]] = {}
        for member in self.members[leader]:
            for tile in self._near(member):
                near = _within(self.owned[tile], self.grid[member].owned, _HALO * self.reach)
                heard[tile] = heard.get(tile, near) | near
        rows = {tile: np.flatnonzero(near) for tile, near in heard.items()}
        pool = Proposals.concat([self.owned[t].take(r) for t, r in rows.items()])
        keep = np.zeros(len(pool), bool)
        keep[self.model.select(pool, self.thresholds)] = True
        ends = np.cumsum([len(r) for r in rows.values()])[:-1]
        verdict = {tile: np.zeros(len(self.owned[tile]), bool) for tile in rows}
        for (tile, r), kept in zip(rows.items(), np.split(keep, ends), strict=True):
            verdict[tile][r] = kept
        return verdict

    def _near(self, tile: int) -> list[int]:
        """Tiles, itself among them, that own something within the halo of what `tile` owns."""
        mine = self.grid[tile].owned.pad(int(np.ceil(_HALO * self.reach)))
        rows, columns = self.grid.shape
        ring = int(np.ceil(_HALO * self.reach / self.grid.tile_px))
        row, column = divmod(tile, columns)
        return [
            r * columns + c
            for r in range(max(0, row - ring), min(rows, row + ring + 1))
            for c in range(max(0, column - ring), min(columns, column + ring + 1))
            if not self.grid[r * columns + c].owned.intersect(mine).is_empty
        ]

    def _join_disagreeing(self) -> set[int]:
        changed: set[int] = set()
        for a in range(len(self.grid)):
            for b in self._near(a):
                if self.leader[a] != self.leader[b] and not self._agree(a, b):
                    changed.add(self._join(a, b))
        return {self.leader[leader] for leader in changed}

    def _agree(self, a: int, b: int) -> bool:
        """True where the domains of `a` and `b` judge b's proposals within reach of `a` alike."""
        rim = _within(self.owned[b], self.grid[a].owned, self.reach)
        of_a, of_b = self.verdicts[self.leader[a]][b], self.verdicts[self.leader[b]][b]
        return bool((of_a[rim] == of_b[rim]).all())

    def _join(self, a: int, b: int) -> int:
        winner, loser = sorted((self.leader[a], self.leader[b]))
        self.members[winner] += self.members.pop(loser)
        for tile in self.members[winner]:
            self.leader[tile] = winner
        # Until it is decided anew, the joint domain speaks with the verdicts of both.
        both: Mapping[int, NDArray[np.bool_]] = self.verdicts[loser] | self.verdicts[winner]
        self.verdicts[winner] = dict(both)
        return winner


def _within(proposals: Proposals, box: Box, reach: float) -> NDArray[np.bool_]:
    x, y = proposals.points.T
    near: NDArray[np.bool_] = (x >= box.x - reach) & (x <= box.right + reach)
    near &= (y >= box.y - reach) & (y <= box.bottom + reach)
    return near
