"""Segmentation of whole slides: in bounded memory, into a folder, to be resumed at any time."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    ClassScheme,
    ObjectTable,
    Progress,
    Proposals,
    Segmenter,
    SlideReader,
    TileGrid,
)
from napari_histo.ops.channels import ChannelPick
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.drawing import draw
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.heap import trim_heap
from napari_histo.pipeline.ids import anchored_ids
from napari_histo.pipeline.proposing import Plan, Proposer, fit
from napari_histo.pipeline.seams import Seams
from napari_histo.pipeline.segment import SegmentRequest
from napari_histo.pipeline.tissue import save_tissue
from napari_histo.store.run_folder import RunFolder

__all__ = ["OnPart", "RunRequest", "SlideRun", "Source", "facts_of", "plan_of", "segment_slide"]

#: Sides of tiles, the best first: of smaller ones the margin is a larger share.
_TILES_PX = (1024, 512, 256)
_PACKAGES = ("napari-histo", "torch", "stardist", "numpy", "scipy", "scikit-image", "tifffile")
#: Tiles that wait for their seams while the network goes on.
_WAITING = 4
_SAMPLE_PX = 256
#: Memory is given back this often at most: a graphics card does many tiles in that time.
_TRIM_S = 0.5

#: Runs tiles in some order, and gives what was found in each: here, or on other machines.
Source = Callable[[Plan, Sequence[int], CancelToken], Iterator[list[tuple[int, Proposals]]]]
#: Is told of each tile whose objects are settled.
OnPart = Callable[[int, ObjectTable], None]


@dataclass(frozen=True)
class RunRequest:
    """What a whole-slide run is asked for.

    Attributes
    ----------
    segment : SegmentRequest
        `tile_px` is 1024 by default, or less where memory is short; a random `seed` is drawn once.
        Both are kept with the run.
    tissue : TissueMask or None
        Where to look; None for everywhere. Objects anchored elsewhere are left out.
    resume : bool
        Go on with what is in the folder.
    keep_proposals : bool
        Keep what the network found, below the end of the run.
    classes : ClassScheme or None
        Other names for the model's classes, in their order.
    options : tuple of (str, value)
        Other facts to be the same for a resumed run (focal plane, series).
    """

    segment: SegmentRequest = field(default_factory=SegmentRequest)
    tissue: TissueMask | None = None
    resume: bool = False
    keep_proposals: bool = False
    classes: ClassScheme | None = None
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class SlideRun:
    """A run that is done.

    Attributes
    ----------
    folder : Path
    objects : Path
        GeoParquet of all objects.
    n_objects, n_tiles : int
    seconds : float
        That this call took; less than the whole where the run was resumed.
    notes : tuple of str
        What the user should know: smaller batches, other devices.
    """

    folder: Path
    objects: Path
    n_objects: int
    n_tiles: int
    seconds: float
    notes: tuple[str, ...] = ()


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
        self.notes: list[str] = []
        self.thresholds = request.segment.thresholds or model.info.thresholds
        self.seed = int(store.facts["seed"])
        self.tissue = _keep_tissue(store, request.tissue, reader)
        tile_px = int(store.facts["tile_px"])
        self.plan = plan_of(reader, model, replace(request.segment, tile_px=tile_px))
        self.tiles = [tile.index for tile in self.plan.grid if self._has_tissue(tile.owned)]
        self.n_objects = 0
        self.on_part: OnPart | None = None

    def here(
        self, plan: Plan, tiles: Sequence[int], cancel: CancelToken
    ) -> Iterator[list[tuple[int, Proposals]]]:
        """Tiles by a network of this process."""
        for batch in Proposer(plan, self.note).run(tiles, cancel):
            yield [(tile.index, found) for tile, found in batch]

    def work(self, cancel: CancelToken, source: Source) -> Generator[Progress]:
        """All that is still to do."""
        store, n = self.store, len(self.tiles)
        done = store.proposed() & set(self.tiles)
        todo = [tile for tile in self.tiles if tile not in done]
        store.log(f"{n} tiles, {n - len(todo)} of them done before")
        yield Progress(len(done), n, "Reading the slide")
        trimmed = time.monotonic()
        with ThreadPoolExecutor(1, thread_name_prefix="seams") as pool:
            settling = _Settling(self, pool)
            settling.restore(done)
            for batch in source(self.plan, todo, cancel):
                for tile, found in batch:
                    settling.add(tile, self._in_tissue(found))
                    done.add(tile)
                settling.wait(_WAITING)
                if time.monotonic() - trimmed > _TRIM_S:
                    trim_heap()
                    trimmed = time.monotonic()
                yield Progress(len(done), n, "Finding nuclei", self.n_objects)
            cancel.raise_if_cancelled()
            settling.wait(0)
        yield Progress(n, n, "Writing all objects", self.n_objects)
        count = store.finish(self.tiles, {"tiles": n, "notes": self.notes})
        store.log(f"{count} objects")

    def note(self, text: str) -> None:
        """Something that the user should know."""
        self.notes.append(text)
        self.store.log(text)

    def settle(self, tile: int, rows: NDArray[np.int64]) -> None:
        """Draw and keep the objects of a tile."""
        found = self.store.proposals(tile).take(rows)
        table = self._draw(found)
        self.store.save_part(tile, table)
        self._tell(tile, table)

    def tell_again(self, tile: int) -> None:
        """A tile that was settled before this run was resumed."""
        if self.on_part is not None:
            self._tell(tile, self.store.part(tile))

    def _tell(self, tile: int, table: ObjectTable) -> None:
        self.n_objects += len(table)
        if self.on_part is not None:
            self.on_part(tile, table)

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


class _Settling:
    """Keeps proposals and settles seams beside the network, one tile after the other."""

    def __init__(self, run: _Run, pool: ThreadPoolExecutor) -> None:
        self._run, self._pool = run, pool
        self._coming: list[Future[None]] = []
        plan, store = run.plan, run.store
        self._seams = Seams(plan.grid, run.tiles, store.proposals, plan.model, run.thresholds)

    def restore(self, done: set[int]) -> None:
        """What another process did; what it had not settled is settled now."""
        store = self._run.store
        settled = {t for t in store.settled() & done if done.issuperset(self._seams.near(t))}
        self._seams.restore(settled, store.joined)
        for tile in sorted(settled):
            self._coming.append(self._pool.submit(self._run.tell_again, tile))
        for tile in sorted(done - settled):
            self._coming.append(self._pool.submit(self._arrive, tile))

    def add(self, tile: int, found: Proposals) -> None:
        """A tile is done. The proposals are on disk when its future is."""
        self._coming.append(self._pool.submit(self._keep, tile, found))

    def wait(self, at_most: int) -> None:
        """Until no more than so many tiles are waiting; raises what went wrong."""
        while len(self._coming) > at_most or (self._coming and self._coming[0].done()):
            self._coming.pop(0).result()

    def _keep(self, tile: int, found: Proposals) -> None:
        self._run.store.save_proposals(tile, found)
        self._arrive(tile)

    def _arrive(self, tile: int) -> None:
        settled = self._seams.arrive(tile)
        self._run.store.save_joined(self._seams.joined)
        for index, rows in settled.items():
            self._run.settle(index, rows)


def plan_of(reader: SlideReader, model: Segmenter, asked: SegmentRequest) -> Plan:
    """How a slide's tiles become proposals: the same in every process that asks."""
    thresholds = asked.thresholds or model.info.thresholds
    frame = Frame.of(reader, model.info, region=asked.region, pixel_size=asked.pixel_size)
    tile_px = asked.tile_px or _TILES_PX[0]
    grid = TileGrid(frame.extent, frame.region, tile_px, model.margin_px, model.align_px)
    pick = ChannelPick.choose(reader.info, model.info, asked.channel)
    normalizer, model = fit(frame, model, pick)
    return Plan(frame, grid, model, pick, normalizer, thresholds.prob)


# -- what was asked ------------------------------------------------------------------------------


def facts_of(reader: SlideReader, model: Segmenter, request: RunRequest) -> dict[str, Any]:
    """Facts for `run.json`: where image, model and parameters are the same, so are the objects."""
    info, asked = reader.info, request.segment
    thresholds = asked.thresholds or model.info.thresholds
    size = asked.pixel_size or info.pixel_size
    tissue = request.tissue
    seed = asked.seed
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    return {
        "image": {
            "name": info.name,
            "size_px": [info.width, info.height],
            "fingerprint": _fingerprint(reader),
        },
        "model": {
            "name": model.info.name,
            "sha256": model.info.sha256,
            "precision": getattr(model, "precision", None),
        },
        "parameters": {
            "region": None if asked.region is None else asdict(asked.region),
            "pixel_size_um": None if size is None else [size.x_um, size.y_um],
            "channel": asked.channel,
            "thresholds": asdict(thresholds),
            **({} if asked.tile_px is None else {"tile_px": asked.tile_px}),
            "classes": None if request.classes is None else list(request.classes.names),
            "tissue": None if tissue is None else _hash(np.packbits(tissue.cells).tobytes()),
            **dict(request.options),
        },
        "seed": seed,
        "tile_px": asked.tile_px or _fitting_tile_px(model),
        "path": info.path,
        "device": str(getattr(model, "device", "cpu")),
        "versions": _versions(),
    }


def _fitting_tile_px(model: Segmenter) -> int:
    """The largest tile that fits into memory with its margins."""
    fitting = (px for px in _TILES_PX if model.room(px + 2 * model.margin_px))
    return next(fitting, _TILES_PX[-1])


def _fingerprint(reader: SlideReader) -> str:
    """Hash of the coarsest level's middle: another image under the same name is noticed."""
    info = reader.info
    level = len(info.level_shapes) - 1
    box = info.level_box(level)
    left, top = (max(0, (n - _SAMPLE_PX) // 2) for n in (box.width, box.height))
    middle = Box(left, top, _SAMPLE_PX, _SAMPLE_PX)
    return _hash(np.ascontiguousarray(reader.read(middle.intersect(box), level)).tobytes())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _keep_tissue(
    store: RunFolder, tissue: TissueMask | None, reader: SlideReader
) -> TissueMask | None:
    """The mask in use lies in the folder, to be looked at."""
    path = store.path / "tissue.geojson"
    if tissue is not None and not path.exists():
        save_tissue(path, tissue, reader.info)
    return tissue
