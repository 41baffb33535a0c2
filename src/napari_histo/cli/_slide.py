"""Whole slides at the command line: a run folder, and what is made of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_histo.cli._console import drive, err
from napari_histo.core import CancelToken, Segmenter, SlideReader
from napari_histo.errors import RunFolderError

if TYPE_CHECKING:
    from napari_histo.ops.tissue import TissueMask
    from napari_histo.pipeline import RunRequest
    from napari_histo.pipeline.slide_run import Source

    #: File of the objects, their number, and where the run looked.
    Ran = tuple[Path, int, TissueMask | None]

__all__ = ["Cluster", "Slide", "folder_beside"]


@dataclass(frozen=True)
class Cluster:
    """Where tiles run, if not here.

    Attributes
    ----------
    model, device : str
        As for `load_model`; the workers load it themselves.
    scheduler : str or None
        Address of a cluster; None for one on this machine.
    workers : int or None
        Processes of the one on this machine.
    """

    model: str
    device: str
    scheduler: str | None
    workers: int | None


@dataclass(frozen=True)
class Slide:
    """A slide to be segmented by way of a run folder.

    Attributes
    ----------
    reader : SlideReader
    model : Segmenter
    request : RunRequest
        Its tissue is found here.
    tissue : str or None
        ``auto``, ``none``, or a file; None is ``auto``.
    cancel : CancelToken
    cluster : Cluster or None
    """

    reader: SlideReader
    model: Segmenter
    request: RunRequest
    tissue: str | None
    cancel: CancelToken
    cluster: Cluster | None = None

    def run(self, folder: Path) -> Ran:
        """All objects into a run folder."""
        from napari_histo.pipeline import segment_slide

        is_new = not folder.exists()
        try:
            tissue = self._find_tissue()
            request = replace(self.request, tissue=tissue)
            with self._source() as source:
                work = segment_slide(
                    self.reader, self.model, folder, request, self.cancel, source=source
                )
                done = drive(work, self.reader.info.name)
        except RunFolderError as error:
            raise RunFolderError(
                f"{error} (--resume goes on with a run; -o names another folder.)"
            ) from error
        except BaseException:
            if any((folder / "proposals").glob("*.npz")):
                err.print(
                    f"What is done is kept in {folder}: the same command with --resume goes on.",
                    markup=False,
                )
            elif is_new:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        for note in done.notes:
            err.print(note, markup=False)
        return done.objects, done.n_objects, tissue

    def run_and_export(self, target: Path) -> Ran:
        """All objects into one file; the run folder beside it goes when that is done."""
        from napari_histo.store import check_output

        check_output(target)
        folder = folder_beside(target)
        objects, n, tissue = self.run(folder)
        self._export(objects, target)
        shutil.rmtree(folder, ignore_errors=True)
        return target, n, tissue

    def _export(self, objects: Path, target: Path) -> None:
        from napari_histo.store import format_of, load_objects, save_objects
        from napari_histo.store.geojson import write_geojson
        from napari_histo.store.parquet import iter_parquet
        from napari_histo.store.write import put_in_place

        kind = format_of(target)
        if kind == "parquet":
            put_in_place(objects, target)
        elif kind == "geojson":
            write_geojson(target, iter_parquet(objects), about={"image": self.reader.info.name})
        else:
            size = self.request.segment.pixel_size or self.reader.info.pixel_size
            info = replace(self.reader.info, pixel_size=size)
            save_objects(target, load_objects(objects), info=info)

    @contextmanager
    def _source(self) -> Iterator[Source | None]:
        """Who runs the tiles; None for this process."""
        if self.cluster is None:
            yield None
            return
        from napari_histo.models import load_model
        from napari_histo.pipeline.distributed import ClusterSource, TileJob, connect

        options = dict(self.request.options)
        job = TileJob(
            str(Path(self.reader.info.path).resolve()),
            options["z"],
            options["series"],
            load_model,
            self.cluster.model,
            self.cluster.device,
            self.request.segment,
            getattr(self.model, "precision", "auto"),
            options.get("diameter_um"),
        )
        with connect(self.cluster.scheduler, self.cluster.workers) as client:
            yield ClusterSource(client, job)

    def _find_tissue(self) -> TissueMask | None:
        from napari_histo.pipeline.tissue import find_tissue_steps, load_tissue

        if self.tissue == "none":
            return None
        if self.tissue not in (None, "auto"):
            return load_tissue(Path(self.tissue), self.reader.info)
        size = self.request.segment.pixel_size
        work = find_tissue_steps(self.reader, pixel_size=size, cancel=self.cancel)
        return drive(work, f"{self.reader.info.name}: tissue")


def folder_beside(target: Path) -> Path:
    """The run folder that stands beside a file until it is complete."""
    return target.with_name(f"{target.name}.run")
