"""``napari-histo cells``: cells with nuclei from two files of objects, or from one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_histo.cli._arguments import parse_pixel_size
from napari_histo.cli._cells import check_target, expanded, joined, size_unknown
from napari_histo.cli._console import cancel_on_interrupt, out
from napari_histo.cli._measuring import objects_in
from napari_histo.core import SlideInfo
from napari_histo.core.cell_join import Alone, JoinRequest

__all__ = ["cells_command"]


def cells_command(
    nuclei: Annotated[
        Path, typer.Argument(help="Nuclei: GeoJSON, GeoParquet, labels, or a run folder.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Result: .geojson, .geojson.gz or .parquet.")
    ],
    cells: Annotated[
        Path | None, typer.Argument(help="Cells of the same image; without them nuclei are grown.")
    ] = None,
    min_overlap: Annotated[
        float,
        typer.Option(min=0.01, max=1, help="Share of a nucleus that must lie in its cell."),
    ] = 0.5,
    nuclei_alone: Annotated[
        Alone, typer.Option(help="What becomes of nuclei without a cell.")
    ] = Alone.KEEP,
    cells_alone: Annotated[
        Alone, typer.Option(metavar="[keep|drop]", help="What becomes of cells without a nucleus.")
    ] = Alone.KEEP,
    expand_um: Annotated[
        float, typer.Option(min=0, metavar="UM", help="How far nuclei grow, at most.")
    ] = 5.0,
    image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Their image: its pixel size and edges, for growing."),
    ] = None,
    pixel_size: Annotated[
        str | None, typer.Option(metavar="UM", help="Pixel size in µm, for growing.")
    ] = None,
) -> None:
    """Join nuclei and cells of one image into cells with nuclei, as QuPath has them.

    Each cell gets the one nucleus that overlaps it most, and each nucleus one cell; what does not
    fit into the cell is cut off. A cell has its nucleus's id.
    """
    from napari_histo.pipeline.cells import extent_of
    from napari_histo.store import load_objects, save_objects

    check_target(output)
    if cells_alone is Alone.EXPAND:
        raise typer.BadParameter("Cells without a nucleus are kept or dropped, not expanded.")
    size, info = parse_pixel_size(pixel_size), _facts(image)
    size = size or (None if info is None else info.pixel_size)
    request = JoinRequest(min_overlap, nuclei_alone, cells_alone, expand_um)
    if size is None and (cells is None or nuclei_alone is Alone.EXPAND):
        raise size_unknown((image or nuclei).name, expand_um)
    table = load_objects(objects_in(nuclei))
    outlines = None if cells is None else load_objects(objects_in(cells))
    both = (table,) if outlines is None else (table, outlines)
    extent = extent_of(*both, reach=(expand_um, size)) if info is None else info.box
    with cancel_on_interrupt() as cancel:
        if outlines is None:
            table = expanded(table, expand_um, extent, size, cancel)
        else:
            table = joined(table, outlines, request, extent, size, cancel).table
    save_objects(output, table, info=info)
    out.print(f"{len(table):,} objects -> {output}", markup=False)


def _facts(image: Path | None) -> SlideInfo | None:
    from napari_histo.slides import open_image

    if image is None:
        return None
    with open_image(image) as reader:
        return reader.info
