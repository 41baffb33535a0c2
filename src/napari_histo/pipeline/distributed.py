"""The tiles of a run on a Dask cluster; the only file that imports `distributed`.

Workers open the slide by its path and load the model by its name, so both must be within their
reach. They give proposals back; seams, objects and the run folder stay with the caller, and the
objects are those of a run in one process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_histo.core import CancelToken, Proposals, Segmenter
from napari_histo.errors import ClusterError, MissingDependencyError
from napari_histo.pipeline.proposing import Plan, Proposer
from napari_histo.pipeline.segment import SegmentRequest

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["ClusterSource", "TileJob", "connect"]

#: Tiles on their way for each worker: one that it works on, and one that it finds ready.
_AHEAD = 2
_RETRIES = 2
_LOOK_S = 1.0
#: A cluster without any worker for so long is not coming back by itself.
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class TileJob:
    """All that a worker needs to open.

    Attributes
    ----------
    path : str
        Of the slide, as the workers see it.
    z, series : int
    load_model : callable
        ``napari_histo.models.load_model``, or another function of the same arguments that workers
        can import.
    model, device : str
        For `load_model`.
    request : SegmentRequest
    precision : str
        That of the caller, or workers of another kind would find slightly other objects.
    diameter_um : float or None
        For models that are scaled to the objects to find.
    """

    path: str
    z: int
    series: int
    load_model: Callable[..., Segmenter]
    model: str
    device: str
    request: SegmentRequest
    precision: str = "auto"
    diameter_um: float | None = None


class ClusterSource:
    """Runs tiles on a cluster; a `Source` for `segment_slide`.

    Parameters
    ----------
    client : distributed.Client
    job : TileJob
    """

    def __init__(self, client: Client, job: TileJob) -> None:
        self._client, self._job = client, job

    def __call__(
        self, plan: Plan, tiles: Sequence[int], cancel: CancelToken
    ) -> Iterator[list[tuple[int, Proposals]]]:
        """Tiles in the order in which they are done.

        Raises
        ------
        ClusterError
            No worker is left, or a tile killed several.
        """
        # The tiles of the run, whatever fits into a worker's memory.
        request = replace(self._job.request, tile_px=plan.grid.tile_px)
        job, waiting = replace(self._job, request=request), iter(tiles)
        running: dict[Future[Any], int] = {}
        try:
            while True:
                for tile in waiting:
                    running[self._submit(job, tile)] = tile
                    if len(running) >= self._room():
                        break
                if not running:
                    return
                yield [(running.pop(f), self._result(f)) for f in self._first_done(running, cancel)]
        finally:
            for future in running:
                future.cancel()

    def _submit(self, job: TileJob, tile: int) -> Future[Any]:
        # Its result is wanted once: a name of its own, or Dask would keep and share it.
        return self._client.submit(propose_tile, job, tile, pure=False, retries=_RETRIES)

    def _room(self) -> int:
        return _AHEAD * max(1, len(self._client.nthreads()))

    def _first_done(
        self, running: dict[Future[Any], int], cancel: CancelToken
    ) -> list[Future[Any]]:
        from distributed import wait

        idle = 0.0
        while True:
            cancel.raise_if_cancelled()
            try:
                return list(wait(list(running), _LOOK_S, "FIRST_COMPLETED").done)
            except TimeoutError:
                idle = 0.0 if self._client.nthreads() else idle + _LOOK_S
            if idle > _PATIENCE_S:
                raise ClusterError(
                    f"The cluster has had no worker for {_PATIENCE_S:.0f} s. Start workers, then "
                    "go on with --resume."
                )

    def _result(self, future: Future[Any]) -> Proposals:
        from distributed import KilledWorker

        try:
            found: Proposals = future.result()
        except KilledWorker as error:
            raise ClusterError(
                "A tile was tried on several workers and each of them died; most likely their "
                "memory ran out. Give them more, or use smaller tiles (--tile 512) and another "
                "folder."
            ) from error
        return found


def propose_tile(job: TileJob, tile: int) -> Proposals:
    """What a worker does: the proposals that a tile owns."""
    proposer = _proposer(job)
    [(_, found)] = next(proposer.run([tile], CancelToken()))
    return found


@lru_cache(maxsize=1)
def _proposer(job: TileJob) -> Proposer:
    """Slide and network, opened once a worker."""
    from napari_histo.pipeline.slide_run import plan_of
    from napari_histo.slides import open_image

    _take_a_graphics_card()
    reader = open_image(job.path, z=job.z, series=job.series)
    wishes: dict[str, Any] = {"device": job.device, "precision": job.precision}
    if job.diameter_um is not None:
        wishes["diameter_um"] = job.diameter_um
    model = job.load_model(job.model, **wishes)
    return Proposer(plan_of(reader, model, job.request))


def _take_a_graphics_card() -> None:
    """Workers of one machine share its cards evenly; torch must not have looked at them yet."""
    from distributed import get_worker

    cards = sorted(Path("/dev").glob("nvidia[0-9]*"))
    name: Any = get_worker().name
    if len(cards) > 1 and isinstance(name, int) and "CUDA_VISIBLE_DEVICES" not in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(name % len(cards))


@contextmanager
def connect(scheduler: str | None = None, n_workers: int | None = None) -> Iterator[Client]:
    """A client of the cluster at an address, or of one made here for as long as the block lasts.

    Parameters
    ----------
    scheduler : str, optional
        ``tcp://host:port``.
    n_workers : int, optional
        Processes of a cluster on this machine, where no address is given.

    Raises
    ------
    MissingDependencyError, ClusterError
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingDependencyError(
            "Runs on a cluster need the package distributed. Install it with: "
            "pip install 'napari-histo[distributed]'"
        ) from error
    if scheduler is None:
        with (
            LocalCluster(n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout="5s")
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {scheduler}. Start one (dask scheduler) and its workers "
            "(dask worker ADDRESS), or give its address as tcp://host:8786."
        ) from error
    with client:
        yield client
