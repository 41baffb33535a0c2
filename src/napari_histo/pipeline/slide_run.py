"""Segmentation of whole slides: in bounded memory, into a folder, to be resumed at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from napari_histo.core import (
    Box,
    CancelToken,
    ObjectTable,
    Progress,
    Proposals,
    Segmenter,
    SlideReader,
    TileGrid,
)
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.drawing import draw
from napari_histo.pipeline.heap import give_back_large_blocks, trim_heap
from napari_histo.pipeline.ids import anchored_ids
from napari_histo.pipeline.proposing import Plan, Proposer, fit
from napari_histo.pipeline.rehearsal import rehearse
from napari_histo.pipeline.run_request import TILES_PX, RunRequest, SlideRun, facts_of
from napari_histo.pipeline.segment import SegmentRequest
from napari_histo.pipeline.settling import OnPart, Settling
from napari_histo.pipeline.sizing import frame_for
from napari_histo.pipeline.tissue import save_tissue
from napari_histo.store.run_folder import RunFolder

__all__ = ["Source", "plan_of", "segment_slide"]

#: Tiles that wait for their seams while the network goes on.
_WAITING = 4
#: Memory is given back this often at most: a graphics card does many tiles in that time.
_TRIM_S = 0.5

#: Runs tiles in some order, and gives what was found in each: here, or on other machines.
Source = Callable[[Plan, Sequence[int], CancelToken], Iterator[list[tuple[int, Proposals]]]]


def segment_slide(
    reader: SlideReader,
    model: Segmenter,
    folder: Path | str,
    request: RunRequest | None = None,
    cancel: CancelToken | None = None,
    *,
    source: Source | None = None,
    on_part: OnPart | None = None,
) -> Generator[Progress, None, SlideRun]:
    """Segment a slide into a run folder.

    The objects are those of `segment`: they depend neither on the tiles nor on interruptions.
    Memory depends on the size of a tile, not of the slide. Drive it in any thread but the
    window's.

    Parameters
    ----------
    reader : SlideReader
    model : Segmenter
    folder : path
        New, or with `resume` one of the same run.
    request : RunRequest, optional
    cancel : CancelToken, optional
        Looked at before each batch; the folder can be gone on with.
    source : callable, optional
        Runs the tiles elsewhere; by default a `Proposer` here.
    on_part : callable, optional
        Is told the number and the objects of each tile that is settled, also of those that were
        settled before the run was resumed; seldom again of a tile whose objects changed. Called in
        a thread of the run.

    Yields
    ------
    Progress
        In tiles, with the objects settled so far.

    Raises
    ------
    RunFolderError
        The folder is another run's; the message tells what differs.
    PixelSizeUnknownError, ImageError, ModelError, WriteError, Cancelled
    """
    request, cancel = request or RunRequest(), cancel or CancelToken()
    started = time.monotonic()
    store = RunFolder(folder, facts_of(reader, model, request), resume=request.resume)
    try:
        run = _Run(reader, model, request, store)
        run.on_part = on_part
        if not store.is_finished:
            yield from run.work(cancel, source or run.here)
        store.tidy(keep_proposals=request.keep_proposals)
        seconds = time.monotonic() - started
        n = store.summary["objects"]
        return SlideRun(
            store.path, store.objects_path, n, len(run.tiles), seconds, tuple(run.notes)
        )
    finally:
        store.close()


class _Run:
    """One call of `segment_slide`."""

    def __init__(
        self, reader: SlideReader, model: Segmenter, request: RunRequest, store: RunFolder
    ) -> None:
        self.store, self.request = store, request
        self.on_part: OnPart | None = None
        self.notes: list[str] = []
        self.thresholds = request.segment.thresholds or model.info.thresholds
        self.seed = int(store.facts["seed"])
        self.tissue = _keep_tissue(store, request.tissue, reader)
        tile_px = int(store.facts["tile_px"])
        self.plan = plan_of(reader, model, replace(request.segment, tile_px=tile_px))
        self.tiles = [tile.index for tile in self.plan.grid if self._has_tissue(tile.owned)]

    def here(
        self, plan: Plan, tiles: Sequence[int], cancel: CancelToken
    ) -> Iterator[list[tuple[int, Proposals]]]:
        """Tiles by a network of this process."""
        if tiles:
            rehearse(plan, plan.grid[tiles[0]], self._draw)
        for batch in Proposer(plan, self.note).run(tiles, cancel):
            yield [(tile.index, found) for tile, found in batch]

    def work(self, cancel: CancelToken, source: Source) -> Generator[Progress]:
        """All that is still to do."""
        give_back_large_blocks()
        store, n = self.store, len(self.tiles)
        done = store.proposed() & set(self.tiles)
        todo = [tile for tile in self.tiles if tile not in done]
        store.log(f"{n} tiles, {n - len(todo)} of them done before")
        yield Progress(len(done), n, "Reading the slide")
        trimmed = time.monotonic()
        with ThreadPoolExecutor(1, thread_name_prefix="seams") as pool:
            settling = Settling(
                self.plan,
                store,
                tiles=self.tiles,
                thresholds=self.thresholds,
                pool=pool,
                draw=self._draw,
                on_part=self.on_part,
            )
            settling.restore(done)
            for batch in source(self.plan, todo, cancel):
                for tile, found in batch:
                    settling.add(tile, self._in_tissue(found))
                    done.add(tile)
                settling.wait(_WAITING)
                if time.monotonic() - trimmed > _TRIM_S:
                    trim_heap()
                    trimmed = time.monotonic()
                yield Progress(len(done), n, "Finding nuclei", settling.n_objects)
            cancel.raise_if_cancelled()
            settling.wait(0)
        yield Progress(n, n, "Writing all objects", settling.n_objects)
        count = store.finish(self.tiles, {"tiles": n, "notes": self.notes})
        store.log(f"{count} objects")

    def note(self, text: str) -> None:
        """Something that the user should know."""
        self.notes.append(text)
        self.store.log(text)

    def _draw(self, found: Proposals) -> ObjectTable:
        ids = anchored_ids(found.points, self.seed)
        table = draw(self.plan.model, self.plan.frame, found, ids)
        classes = self.request.classes
        return table if classes is None else table.with_columns(classes=classes)

    def _has_tissue(self, owned: Box) -> bool:
        return self.tissue is None or self.tissue.touches(owned.scale(*self.plan.frame.scale))

    def _in_tissue(self, found: Proposals) -> Proposals:
        if self.tissue is None or not len(found):
            return found
        return found.take(self.tissue.contains(found.points * self.plan.frame.scale))


def plan_of(reader: SlideReader, model: Segmenter, asked: SegmentRequest) -> Plan:
    """How a slide's tiles become proposals: the same in every process that asks."""
    reader = asked.view(reader)
    thresholds = asked.thresholds or model.info.thresholds
    pick = asked.pick_channels(reader.info, model.info)
    frame = frame_for(reader, model, pick, region=asked.region, pixel_size=asked.pixel_size)
    tile_px = asked.tile_px or TILES_PX[0]
    grid = TileGrid(frame.extent, frame.region, tile_px, model.margin_px, model.align_px)
    normalizer, model = fit(frame, model, pick)
    return Plan(frame, grid, model, pick, normalizer, thresholds.prob)


def _keep_tissue(
    store: RunFolder, tissue: TissueMask | None, reader: SlideReader
) -> TissueMask | None:
    """The mask in use lies in the folder, to be looked at."""
    path = store.path / "tissue.geojson"
    if tissue is not None and not path.exists():
        save_tissue(path, tissue, reader.info)
    return tissue
