"""Choosing among proposals across tiles, exactly as if there were no tiles.

Greedy non-maximum suppression keeps a proposal exactly when no kept, likelier one covers it. That
rule is local, and by induction on the probability only one set obeys it. So each tile decides with
its neighbours' proposals at hand; where two tiles come to the same verdict about everything near
their seam, the joint answer obeys the rule and is that of the whole image, in whatever order the
tiles came. Tiles that disagree (a chain of overlaps ran across more than one tile) are decided
together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, Proposals, Segmenter, Thresholds, TileGrid

__all__ = ["Seams", "choose"]

#: How far a tile listens to its neighbours' proposals, in reaches. One is enough to be exact; more
#: makes verdicts agree at once, so that fewer tiles have to be decided together.
_HALO = 2

_Rows = NDArray[np.int64]
_Verdict = dict[int, NDArray[np.bool_]]


def choose(
    grid: TileGrid, owned: Sequence[Proposals], model: Segmenter, thresholds: Thresholds
) -> list[_Rows]:
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
    ring = max(1, math.ceil(_HALO * reach / grid.tile_px))
    tiles = range(len(grid))
    seams = Seams(grid, tiles, owned.__getitem__, model, thresholds, ring=ring)
    rows: dict[int, _Rows] = {}
    for tile in tiles:
        rows |= seams.arrive(tile)
    return [rows[tile] for tile in tiles]


class Seams:
    """Decides tiles as soon as their neighbours are there, in any order. One thread at a time.

    Parameters
    ----------
    grid : TileGrid
    tiles : collection of int
        That will arrive; the others (background) own nothing.
    load : callable
        The proposals anchored in what a tile owns; may read them from disk each time.
    model : Segmenter
        Its `select` and `reach_px` are used, not the network.
    thresholds : Thresholds
    ring : int
        Neighbours further away than so many tiles are not listened to. Two objects that reach for
        each other over more than ``ring * tile_px / 2`` px may both stay.
    """

    def __init__(
        self,
        grid: TileGrid,
        tiles: Collection[int],
        load: Callable[[int], Proposals],
        model: Segmenter,
        thresholds: Thresholds,
        *,
        ring: int = 1,
    ) -> None:
        self._grid, self._tiles, self._load = grid, frozenset(tiles), load
        self._model, self._thresholds, self._ring = model, thresholds, ring
        self._reaches: dict[int, float] = {}
        self._arrived: set[int] = set()
        self._decided: set[int] = set()
        self._settled: set[int] = set()
        self._leader: dict[int, int] = {}
        self._members: dict[int, list[int]] = {}
        self._verdicts: dict[int, _Verdict] = {}

    @property
    def joined(self) -> list[list[int]]:
        """Tiles that are decided together, where they are more than one."""
        return sorted(sorted(m) for m in self._members.values() if len(m) > 1)

    def restore(self, settled: Iterable[int], joined: Iterable[Sequence[int]]) -> None:
        """Take up where another run stopped: what was settled, and what was decided together.

        The proposals of these tiles and of all their neighbours must be there.
        """
        for group in joined:
            for other in group[1:]:
                self._join(group[0], other)
        self._settled |= set(settled)
        self._decided |= self._settled
        self._arrived |= {near for tile in self._settled for near in self.near(tile)}

    def arrive(self, tile: int) -> dict[int, _Rows]:
        """The proposals of a tile can be loaded now.

        Returns
        -------
        dict of int to array
            Rows of the proposals that survive, ascending, for each tile that is settled by this;
            rarely one that was settled before, with another answer.
        """
        self._arrived.add(tile)
        ready = [t for t in self.near(tile) if t not in self._decided and self._is_ready(t)]
        return self._decide_all({self._lead(t) for t in ready}) if ready else {}

    # -- deciding --------------------------------------------------------------------------------

    def _decide_all(self, pending: set[int]) -> dict[int, _Rows]:
        """Decide domains, join those that disagree, and again until none do."""
        touched: set[int] = set()
        while pending:
            for leader in pending:
                self._verdicts[leader] = self._decide(leader)
                self._decided.update(self._group(leader))
                touched.update(self._group(leader))
            pending = self._join_disagreeing(pending)
        around = {near for tile in touched for near in self.near(tile)}
        fresh = {
            tile
            for tile in around
            if (tile in touched or tile not in self._settled)
            and all(near in self._decided for near in self.near(tile))
        }
        rows = {tile: np.flatnonzero(self._verdict(self._lead(tile))[tile]) for tile in fresh}
        self._settled |= fresh
        self._forget({self._lead(tile) for tile in around})
        return rows

    def _decide(self, leader: int) -> _Verdict:
        """Verdict of a domain on its own and its surroundings' proposals: kept or not, by tile."""
        heard: _Verdict = {}
        for member in self._group(leader):
            near = self.near(member)
            halo = _HALO * max(self._reach(tile) for tile in near)
            for tile in near:
                if not self._apart(tile, member, halo):
                    close = _within(self._load(tile), self._grid[member].owned, halo)
                    heard[tile] = heard.get(tile, close) | close
        rows = {tile: np.flatnonzero(close) for tile, close in heard.items()}
        pool = Proposals.concat([self._load(t).take(r) for t, r in rows.items()])
        keep = np.zeros(len(pool), bool)
        keep[self._model.select(pool, self._thresholds)] = True
        ends = np.cumsum([len(r) for r in rows.values()])[:-1]
        verdict = {tile: np.zeros(len(close), bool) for tile, close in heard.items()}
        for (tile, r), kept in zip(rows.items(), np.split(keep, ends), strict=True):
            verdict[tile][r] = kept
        return verdict

    def _verdict(self, leader: int) -> _Verdict:
        if leader not in self._verdicts:
            self._verdicts[leader] = self._decide(leader)
        return self._verdicts[leader]

    def _join_disagreeing(self, leaders: set[int]) -> set[int]:
        """Join what disagrees with these domains; leaders of what has to be decided anew."""
        changed: set[int] = set()
        for a in sorted({tile for leader in leaders for tile in self._group(leader)}):
            for b in self.near(a):
                if b not in self._decided or self._lead(a) == self._lead(b):
                    continue
                if not (self._agree(a, b) and self._agree(b, a)):
                    changed.add(self._join(a, b))
        return {self._lead(leader) for leader in changed}

    def _agree(self, a: int, b: int) -> bool:
        """True where the domains of `a` and `b` judge b's proposals within reach of `a` alike."""
        of_a = self._verdict(self._lead(a)).get(b)
        of_b = self._verdict(self._lead(b))[b]
        if of_a is None:  # too far away to be heard
            return True
        reach = max(self._reach(a), self._reach(b))
        rim = _within(self._load(b), self._grid[a].owned, reach)
        return bool((of_a[rim] == of_b[rim]).all())

    def _join(self, a: int, b: int) -> int:
        winner, loser = sorted((self._lead(a), self._lead(b)))
        if winner == loser:
            return winner
        self._members[winner] = self._group(winner) + self._group(loser)
        self._members.pop(loser, None)
        for tile in self._members[winner]:
            self._leader[tile] = winner
        # Until it is decided anew, the joint domain speaks with the verdicts of both.
        both = self._verdicts.pop(loser, {}) | self._verdicts.pop(winner, {})
        if both:
            self._verdicts[winner] = both
        return winner

    # -- who is near whom ------------------------------------------------------------------------

    def near(self, tile: int) -> list[int]:
        """Tiles that have a say in what is kept of a tile, itself among them."""
        rows, columns = self._grid.shape
        row, column, ring = *divmod(tile, columns), self._ring
        return [
            r * columns + c
            for r in range(max(0, row - ring), min(rows, row + ring + 1))
            for c in range(max(0, column - ring), min(columns, column + ring + 1))
            if r * columns + c in self._tiles
        ]

    def _apart(self, a: int, b: int, halo: float) -> bool:
        """True where nothing that `a` owns lies within the halo of what `b` owns."""
        return self._grid[b].owned.pad(math.ceil(halo)).intersect(self._grid[a].owned).is_empty

    def _is_ready(self, tile: int) -> bool:
        return all(near in self._arrived for near in self.near(tile))

    def _reach(self, tile: int) -> float:
        if tile not in self._reaches:
            most = self._ring * self._grid.tile_px / _HALO
            self._reaches[tile] = min(self._model.reach_px(self._load(tile)), most)
        return self._reaches[tile]

    def _lead(self, tile: int) -> int:
        return self._leader.get(tile, tile)

    def _group(self, leader: int) -> list[int]:
        return self._members.get(leader, [leader])

    def _forget(self, leaders: Iterable[int]) -> None:
        """Drop verdicts that nobody will ask for soon; they can be found again."""
        for leader in leaders:
            near = {n for tile in self._group(leader) for n in self.near(tile)}
            if near <= self._settled:
                self._verdicts.pop(leader, None)


def _within(proposals: Proposals, box: Box, reach: float) -> NDArray[np.bool_]:
    x, y = proposals.points.T
    near: NDArray[np.bool_] = (x >= box.x - reach) & (x <= box.right + reach)
    near &= (y >= box.y - reach) & (y <= box.bottom + reach)
    return near
