"""Cells for the nuclei of an image: grown from them, or found by a second model."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_histo.cli._console import drive, err
from napari_histo.cli._job import Done, Job
from napari_histo.cli._settings import keep_settings, settings_of
from napari_histo.cli._slide import folder_beside
from napari_histo.cli._targets import is_run_folder
from napari_histo.core import Box, CancelToken, ObjectTable, PixelSize, Segmenter
from napari_histo.core.cell_join import Alone, JoinRequest
from napari_histo.errors import PixelSizeUnknownError, RunFolderError, WriteError

if TYPE_CHECKING:
    from napari_histo.pipeline.cells import Joined

__all__ = ["CellsChoice", "CellsJob", "check_target", "expanded", "joined", "size_unknown"]

#: Of nuclei without a cell, where --cells names a model.
_GROW_UM = 5.0
_WORDS = {Alone.KEEP: "kept", Alone.EXPAND: "grown into cells", Alone.DROP: "left out"}


@dataclass(frozen=True)
class CellsJob:
    """How the nuclei of an image become cells.

    Attributes
    ----------
    join : JoinRequest
        Its `expand_um` is also how far nuclei grow where no model finds the cells.
    finder : Job or None
        Finds the cells; without it nuclei are grown.
    """

    join: JoinRequest
    finder: Job | None = None

    def run(
        self, nuclei: Job, image: Path, target: Path, cancel: CancelToken, *, in_batch: bool = False
    ) -> Done:
        """Nuclei by one job, cells by the other; both are kept beside the target until it is whole.

        With `Job.resume` what was found before is not looked for again.

        Raises
        ------
        HistoError
        """
        from napari_histo.slides import open_image
        from napari_histo.store import load_objects, save_objects

        check_target(target)
        folder = target if is_run_folder(target) else folder_beside(target)
        self._keep_settings(folder, nuclei)
        with open_image(image, z=nuclei.z or 0, series=nuclei.series or 0) as reader:
            size = nuclei.request.pixel_size or reader.info.pixel_size
            info = replace(reader.info, pixel_size=size)
        if size is None and (self.finder is None or self.join.nuclei_alone is Alone.EXPAND):
            raise size_unknown(info.name, self.join.expand_um)
        done = _step(nuclei, image, folder / "nuclei.parquet", cancel, in_batch)
        table = load_objects(done.path)
        if self.finder is None:
            table = expanded(table, self.join.expand_um, info.box, size, cancel)
        else:
            found = _step(self.finder, image, folder / "cells.parquet", cancel, in_batch)
            table = joined(table, load_objects(found.path), self.join, info.box, size, cancel).table
        cancel.raise_if_cancelled()
        if folder == target:
            target = folder / "objects.parquet"
        save_objects(target, table, info=info)
        if folder != target.parent:
            shutil.rmtree(folder, ignore_errors=True)
        return replace(done, n_objects=len(table), path=target)

    def facts(self) -> dict[str, Any]:
        """What decides which cells are found."""
        join = {k: str(v) for k, v in vars(self.join).items() if k != "tile_px"}
        return {"join": join, "by": None if self.finder is None else settings_of(self.finder)}

    def _keep_settings(self, folder: Path, nuclei: Job) -> None:
        from napari_histo.store.write import make_folder

        if (folder / "run.json").exists():
            raise RunFolderError(
                f"{folder} holds a run of another kind, which cells would replace. Name another "
                "folder with -o, or make cells of its objects: napari-histo cells."
            )
        make_folder(folder)
        keep_settings(folder, replace(nuclei, cells=self))


@dataclass(frozen=True)
class CellsChoice:
    """What the user said about cells.

    Attributes
    ----------
    text : str
        µm to grow by, or a model.
    channel : int or None
        For the model.
    diameter_um : float or None
        For the model.
    nuclei_alone, cells_alone : Alone
    """

    text: str
    channel: int | None
    diameter_um: float | None
    nuclei_alone: Alone
    cells_alone: Alone

    @property
    def is_growth(self) -> bool:
        """True for a number of µm."""
        try:
            return float(self.text) >= 0
        except ValueError:
            return False

    def of(self, job: Job, second: Segmenter | None) -> Job:
        """The job, and how its nuclei become cells: by a second model, or by growing."""
        if self.cells_alone is Alone.EXPAND:
            raise typer.BadParameter("Cells without a nucleus are kept or dropped, not expanded.")
        um = float(self.text) if self.is_growth else _GROW_UM
        join = JoinRequest(
            nuclei_alone=self.nuclei_alone, cells_alone=self.cells_alone, expand_um=um
        )
        if second is None:
            return replace(job, cells=CellsJob(join))
        request = replace(job.request, channel=self.channel, thresholds=second.info.thresholds)
        finder = replace(
            job,
            model=second,
            request=request,
            classes=None,
            cluster=None if job.cluster is None else replace(job.cluster, model=self.text),
            diameter_um=self.diameter_um,
        )
        return replace(job, cells=CellsJob(join, finder))


def _step(job: Job, image: Path, target: Path, cancel: CancelToken, in_batch: bool) -> Done:
    """One model's objects in a file; not looked for again where they are to be gone on with."""
    from napari_histo.store.parquet import iter_parquet

    if not (job.resume and target.exists()):
        return job.run(image, target, cancel, in_batch=in_batch)
    err.print(f"{target.name} of {image.name} was done before.", markup=False)
    return Done(sum(len(t) for t in iter_parquet(target)), target, None, "image")


def check_target(target: Path) -> None:
    """Raise WriteError for what cannot hold cells with nuclei."""
    from napari_histo.store import check_output, format_of

    if is_run_folder(target):
        return
    if format_of(target) not in ("geojson", "parquet"):
        raise WriteError(
            f"{target} cannot hold cells with nuclei: labels have one outline an object. Use "
            ".geojson, .geojson.gz or .parquet."
        )
    check_output(target)


def size_unknown(name: str, um: float) -> PixelSizeUnknownError:
    """What to tell where nuclei are to grow by an unknown number of pixels."""
    return PixelSizeUnknownError(
        f"{name} carries no pixel size, so nuclei cannot be grown by {um:g} µm. Say how large a "
        "pixel is (--pixel-size UM): usually 0.25 for slides scanned at 40x, 0.5 at 20x."
    )


def expanded(
    nuclei: ObjectTable, um: float, extent: Box, size: PixelSize | None, cancel: CancelToken
) -> ObjectTable:
    """Nuclei grown into cells."""
    from napari_histo.pipeline.grow import grow_cells

    assert size is not None
    work = grow_cells(nuclei, um, extent=extent, pixel_size=size, cancel=cancel)
    return drive(work, f"{um:g} µm")


def joined(
    nuclei: ObjectTable,
    cells: ObjectTable,
    request: JoinRequest,
    extent: Box | None,
    size: PixelSize | None,
    cancel: CancelToken,
) -> Joined:
    """Nuclei and cells matched; tells how many have no partner."""
    from napari_histo.pipeline.cells import join_cells

    work = join_cells(nuclei, cells, request, extent=extent, pixel_size=size, cancel=cancel)
    found = drive(work, "cells")
    err.print(
        f"{_count(found.n_pairs, 'cell', 'cells')} with a nucleus; "
        f"{_count(found.n_nuclei_alone, 'nucleus', 'nuclei')} without a cell "
        f"{_WORDS[request.nuclei_alone]}, {_count(found.n_cells_alone, 'cell', 'cells')} without "
        f"a nucleus {_WORDS[request.cells_alone]}.",
        markup=False,
    )
    return found


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
