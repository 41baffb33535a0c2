"""``napari-histo demo``: the main job on sample data, from slide to QuPath's file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_histo.cli._console import cancel_on_interrupt, drive, out
from napari_histo.cli._display import has_display
from napari_histo.core import Box, ObjectTable, SlideReader
from napari_histo.errors import ImageError

__all__ = ["demo_command", "sample_folder"]


def sample_folder() -> Path:
    """Folder of the sample data: in the installed package, or beside the sources."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "sample_data", package.parents[1] / "sample_data"):
        if (folder / "he_tile.ome.tif").is_file():
            return folder
    raise ImageError(
        "The sample data is missing. Reinstall napari-histo, or run "
        "'python sample_data/make_sample_data.py' in a checkout."
    )


def demo_command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "demo-output"
    ),
    window: Annotated[
        bool, typer.Option(help="Open napari afterwards, if there is a display.")
    ] = True,
) -> None:
    """Segment the sample slide, compare with its truth, write GeoJSON and an overlay."""
    from napari_histo.models import load_model
    from napari_histo.pipeline import segment
    from napari_histo.pipeline.evaluate import evaluate
    from napari_histo.slides import open_slide
    from napari_histo.store import check_output, save_objects
    from napari_histo.store.write import check_writable, make_folder

    samples, output = sample_folder(), make_folder(output)
    objects, overlay = output / "he_tile.geojson", output / "he_tile_overlay.png"
    check_output(objects)
    check_writable(overlay)
    model = load_model("he-nuclei")
    out.print(f"Segmenting {samples / 'he_tile.ome.tif'} with {model.info.name}")
    with open_slide(samples / "he_tile.ome.tif") as reader, cancel_on_interrupt() as cancel:
        result = drive(segment(reader, model, cancel=cancel), "sample slide")
        save_objects(objects, result.table, info=reader.info)
        _write_overlay(overlay, reader, result.table)
    f1 = evaluate(objects, samples / "he_tile_labels.tif").as_dict()["f1"]
    out.print(f"{len(result.table)} nuclei, F1@0.5 against the ground truth: {f1:.3f}")
    out.print(f"GeoJSON for QuPath:  {objects.resolve()}")
    out.print(f"Overlay to look at:  {overlay.resolve()}")
    if window and has_display():
        _open_napari(samples / "he_tile.ome.tif", objects)


def _write_overlay(path: Path, reader: SlideReader, table: ObjectTable) -> None:
    from PIL import Image

    from napari_histo.ops.overlay import draw_outlines
    from napari_histo.store import atomic_path

    box = reader.info.box.intersect(Box(0, 0, 2048, 2048))
    picture = Image.fromarray(draw_outlines(reader.read(box), box, table))
    with atomic_path(path) as work:
        picture.save(work)


def _open_napari(image: Path, objects: Path) -> None:
    """Show both in a napari of its own, with the Segment dock open."""
    import subprocess

    command = [sys.executable, "-m", "napari", str(image), str(objects)]
    out.print("Opening napari; close its window to end.")
    subprocess.run([*command, "--with", "napari-histo", "Segment nuclei"], check=False)
