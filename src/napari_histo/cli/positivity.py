"""``napari-histo positivity``: positive and negative by a threshold, H-score and percentage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from napari_histo.cli._arguments import PixelSizeOption, parse_pixel_size
from napari_histo.cli._console import cancel_on_interrupt, drive, err, out
from napari_histo.cli._measuring import check_text, objects_in, stains_of_word
from napari_histo.core import CancelToken, ObjectTable, ObjectType, PixelSize, SlideInfo
from napari_histo.errors import WriteError

if TYPE_CHECKING:
    from napari_histo.ops.positivity import CutOffs
    from napari_histo.ops.positivity_scores import Score

__all__ = ["positivity_command"]

_DEFAULT = "DAB: Nucleus: Mean"


def positivity_command(
    objects: Annotated[
        Path,
        typer.Argument(help="Objects: GeoJSON, GeoParquet, or a run folder."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Objects with classes: .geojson(.gz) or .parquet."),
    ],
    measurement: Annotated[
        str, typer.Option("--measurement", "-m", metavar="NAME", help="What tells them apart.")
    ] = _DEFAULT,
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            "--threshold",
            "-t",
            help="A value from which on an object is positive; three times for 1+, 2+ and 3+. "
            "Without it one is found in the objects (Otsu), and told.",
        ),
    ] = None,
    levels: Annotated[
        int, typer.Option(metavar="1|3", help="How many thresholds to find where none is given.")
    ] = 1,
    image: Annotated[
        Path | None,
        typer.Option(help="Their image: to measure what they lack, and for areas and densities."),
    ] = None,
    stains: Annotated[
        str,
        typer.Option(
            metavar="hdab|auto-hdab|channels|…", help="Stains of the image, as for 'measure'."
        ),
    ] = "hdab",
    pixel_size: PixelSizeOption = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Annotations to score one by one; by default those among the objects.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Scores by region and class: .csv, .tsv.")
    ] = None,
) -> None:
    """Tell positive objects from negative ones, and score the image and its regions.

    Classes get QuPath's names: "Tumor: Positive", "Negative", "1+", "2+", "3+".
    """
    from napari_histo.ops.positivity import CutOffs, classify_by_threshold
    from napari_histo.ops.positivity_scores import score_rows, scores
    from napari_histo.ops.region_counts import ANNOTATIONS, Places
    from napari_histo.ops.thresholds import suggest_thresholds
    from napari_histo.store import load_objects, save_objects
    from napari_histo.store.measurement_csv import write_rows_csv

    _check(output, csv)
    size = parse_pixel_size(pixel_size)
    table, info = load_objects(objects_in(objects)), None
    if image is not None:
        with cancel_on_interrupt() as cancel:
            table, info = _with_image(table, image, measurement, stains, size, cancel)
    size = size or (None if info is None else info.pixel_size)
    if not threshold:
        values = CutOffs(measurement, (0.0,)).values_of(table)
        judged = ~np.isin(table.object_type, ANNOTATIONS)
        threshold = list(suggest_thresholds(values[judged], levels))
        found = " ".join(f"-t {t:.4g}" for t in threshold)
        err.print(f"Thresholds found in {measurement}: {found}", markup=False)
    cut_offs = CutOffs(measurement, tuple(threshold))
    table = classify_by_threshold(table, cut_offs)
    drawn = load_objects(regions) if regions else _annotations_among(table)
    places = Places.of(table, drawn, np.nan if info is None else info.box.area)
    found_scores = scores(table.class_id, table.classes, places)
    save_objects(output, table, info=info)
    if csv is not None:
        rows = score_rows(found_scores, size)
        name = objects.name if info is None else info.name
        write_rows_csv(csv, [{"Image": name, **row} for row in rows])
    _tell(found_scores, cut_offs, output)


def _check(output: Path, csv: Path | None) -> None:
    """Before the work, not after it."""
    from napari_histo.store import format_of
    from napari_histo.store.write import check_writable

    if format_of(output) not in ("geojson", "parquet"):
        raise WriteError(
            f"Cannot write {output}: the ending of {output.name!r} is not known for objects. "
            "Use .geojson, .geojson.gz or .parquet; scores go to --csv."
        )
    check_writable(output)
    if csv is not None:
        check_text(csv)


def _with_image(
    table: ObjectTable,
    image: Path,
    measurement: str,
    stains: str,
    size: PixelSize | None,
    cancel: CancelToken,
) -> tuple[ObjectTable, SlideInfo]:
    """The objects with the measurement, and facts on their image."""
    from napari_histo.pipeline.measure import MeasureRequest, measure
    from napari_histo.slides import open_slide

    with open_slide(image) as reader:
        info = replace(reader.info, pixel_size=size or reader.info.pixel_size)
        if measurement in table.measurements:
            return table, info
        request = MeasureRequest(
            pixel_size=size,
            stains=stains_of_word(reader, stains),
            channels=stains.lower() == "channels",
            neighbours=False,
        )
        return drive(measure(reader, table, request, cancel), image.name).table, info


def _annotations_among(table: ObjectTable) -> ObjectTable | None:
    drawn = np.flatnonzero(table.object_type == ObjectType.ANNOTATION)
    return table.select(drawn) if len(drawn) else None


def _tell(found: list[Score], cut_offs: CutOffs, output: Path) -> None:
    from napari_histo.ops.positivity_scores import ALL_CLASSES

    for score in found:
        place = score.region if score.kind == ALL_CLASSES else f"{score.region}, {score.kind}"
        h = "" if np.isnan(score.h_score) else f", H-score {score.h_score:.0f}"
        percent = "none" if not score.n_objects else f"{score.percent:.1f} %"
        counted = f"{score.n_positive:,} of {score.n_objects:,} objects positive"
        out.print(f"{place}: {counted} ({percent}){h}", markup=False)
    said = ", ".join(f"{t:.4g}" for t in cut_offs.thresholds)
    out.print(f"{cut_offs.measurement} from {said} -> {output}", markup=False)
