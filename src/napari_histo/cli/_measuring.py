"""One image's objects measured."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histo.cli._console import drive, err, out, say_choices
from napari_histo.core import CancelToken, ObjectState, PixelSize
from napari_histo.errors import WriteError

if TYPE_CHECKING:
    from napari_histo.core import SlideInfo, SlideReader
    from napari_histo.ops.stain_vectors import StainVectors
    from napari_histo.pipeline.measure import Measured

__all__ = ["TEXT", "MeasureJob", "check_output", "check_text", "objects_in", "stains_of_word"]

#: Endings of tables.
TEXT = (".csv", ".tsv")


@dataclass(frozen=True)
class MeasureJob:
    """One run of the command; every image is treated alike.

    Attributes
    ----------
    pixel_size : PixelSize or None
    compartment : str
    expand_um : float or None
    stains : str or None
        The user's word.
    normalize : str or None
    reference : Path or None
    neighbours_um : float
        0 for no neighbours.
    tile_px : int
    z, series : int or None
        None where the user said nothing.
    """

    pixel_size: PixelSize | None
    compartment: str
    expand_um: float | None
    stains: str | None
    normalize: str | None
    reference: Path | None
    neighbours_um: float
    tile_px: int
    z: int | None
    series: int | None

    def run(
        self, image: Path, objects: Path, output: Path, regions: Path | None, cancel: CancelToken
    ) -> list[dict[str, Any]]:
        """Measure and write; returns counts, a row for each region and class.

        Raises
        ------
        HistoError
        """
        from napari_histo.pipeline.measure import MeasureRequest, measure
        from napari_histo.slides import open_slide
        from napari_histo.store import load_objects

        started, word = time.monotonic(), (self.stains or "").lower()
        table = load_objects(objects_in(objects))
        with open_slide(image, z=self.z or 0, series=self.series or 0) as slide:
            say_choices(slide.info, z=self.z, series=self.series)
            reader = _in_other_colours(slide, self.normalize, self.reference)
            request = MeasureRequest(
                pixel_size=self.pixel_size,
                compartment=self.compartment,
                expand_um=self.expand_um,
                intensity=word != "none",
                stains=stains_of_word(reader, self.stains),
                channels=word == "channels",
                neighbours=self.neighbours_um > 0,
                within_um=self.neighbours_um,
                regions=None if regions is None else load_objects(regions),
                tile_px=self.tile_px,
            )
            info = replace(slide.info, pixel_size=request.pixel_size or slide.info.pixel_size)
            if info.pixel_size is None:
                err.print(f"{info.name} carries no pixel size; lengths are in px (--pixel-size).")
            result = drive(measure(reader, table, request, cancel), image.name)
            _save(output, result, info)
        n, seconds = len(result.table.measurements), time.monotonic() - started
        found = f"{len(table):,} objects, {n} measurements -> {output}"
        out.print(f"{image.name}: {found} ({seconds:.1f} s)", markup=False)
        return [{"Image": info.name, **row} for row in result.summary]


def stains_of_word(reader: SlideReader, text: str | None) -> StainVectors | None:
    """The user's word on stains; None where `measure` decides."""
    from napari_histo.pipeline.colour_choice import stain_vectors

    word = (text or "none").lower()
    estimates = word in ("auto", "auto-hdab")
    if text is None or word in ("none", "channels") or (estimates and not reader.info.is_rgb):
        return None
    found = stain_vectors(text, reader)
    if estimates:
        err.print(f"Stains found, as QuPath takes them: {found.describe()}", markup=False)
    return found


def _in_other_colours(slide: SlideReader, kind: str | None, reference: Path | None) -> SlideReader:
    from napari_histo.pipeline.colours import NormalizedReader, normalizer_of
    from napari_histo.slides import open_slide

    if kind is None:
        return slide
    with open_slide(reference) if reference else nullcontext() as wanted:
        return NormalizedReader(slide, normalizer_of(slide, kind, wanted))


def objects_in(path: Path) -> Path:
    """The file of objects; that of a run folder."""
    inside = path / "objects.parquet"
    return inside if path.is_dir() and inside.exists() else path


def check_output(output: Path) -> None:
    from napari_histo.store import format_of
    from napari_histo.store.replacing import beside_zarr
    from napari_histo.store.spatialdata import check_spatialdata, is_spatialdata
    from napari_histo.store.write import check_writable

    if is_spatialdata(output):
        check_spatialdata()
        check_writable(output, folder=True, strangers=beside_zarr)
        return
    if output.suffix.lower() not in TEXT and format_of(output) not in ("geojson", "parquet"):
        raise WriteError(
            f"Cannot write {output}: the ending of {output.name!r} is not known for measurements. "
            "Use .csv or .tsv for a table, .parquet or .geojson for objects with measurements, "
            ".sdata.zarr for SpatialData."
        )
    check_writable(output)


def check_text(path: Path) -> None:
    from napari_histo.store.write import check_writable

    if path.suffix.lower() not in TEXT:
        raise WriteError(f"Cannot write {path}: a summary is a table, .csv or .tsv.")
    check_writable(path)


def _save(output: Path, result: Measured, info: SlideInfo) -> None:
    from napari_histo.store import save_objects
    from napari_histo.store.measurement_csv import write_csv
    from napari_histo.store.spatialdata import is_spatialdata, write_spatialdata

    if is_spatialdata(output):
        write_spatialdata(output, result.table, pixel_size=info.pixel_size)
        return
    if output.suffix.lower() in TEXT:
        rows = np.flatnonzero(result.table.state != ObjectState.REJECTED)
        write_csv(
            output,
            result.table.select(rows),
            image=info.name,
            pixel_size=info.pixel_size,
            parents=[result.parents[row] for row in rows],
        )
    else:
        save_objects(output, result.table, info=info)
