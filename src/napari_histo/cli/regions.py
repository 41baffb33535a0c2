"""``napari-histo regions``: tissue classes for every pixel, learned from painted areas."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_histo.cli._arguments import DeviceName, DeviceOption, parse_pixel_size
from napari_histo.cli._console import cancel_on_interrupt, drive, err, out
from napari_histo.core import CancelToken, ClassScheme, ObjectTable, PixelSize, SlideReader

if TYPE_CHECKING:
    from napari_histo.learning.tissue.training import RegionTraining, TrainedRegions
    from napari_histo.ops.tissue import TissueMask

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Tissue classes at low magnification.")

PixelSizeOption = Annotated[
    str | None,
    typer.Option(metavar="UM", help="Pixel size of the images in µm, where they have none."),
]


@app.command("train")
def train_command(
    images: Annotated[list[Path], typer.Argument(help="Images or slides.")],
    annotations: Annotated[
        list[Path],
        typer.Option(
            "--annotations",
            "-a",
            help="Painted areas (.geojson, .parquet), one file an image in their order; or one "
            "folder of files named like the images.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model.")],
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Only these classes; by default all painted ones."),
    ] = None,
    model_pixel_size: Annotated[
        float, typer.Option(min=0.5, max=16, metavar="UM", help="Pixel size the model works at.")
    ] = 4.0,
    steps: Annotated[int, typer.Option(min=1, help="How long to learn.")] = 400,
    guided: Annotated[
        bool, typer.Option(help="Add a coarse network, so that clear parts are quickly done.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    pixel_size: PixelSizeOption = None,
    device: DeviceOption = DeviceName.AUTO,
    resume: Annotated[bool, typer.Option(help="Go on with a training that was stopped.")] = False,
) -> None:
    """Learn tissue classes from areas that were painted in napari or drawn in QuPath.

    Unpainted pixels teach nothing; areas of the class Ignore* or Background are background.
    """
    from napari_histo.learning.tissue.training import RegionTraining

    params = RegionTraining(
        output.name,
        model_pixel_size,
        steps,
        guided,
        seed=seed,
        device=device.value,
    )
    scheme = None if classes is None else ClassScheme.of(*_names(classes))
    pairs = list(zip(images, _annotations_of(images, annotations), strict=True))
    with cancel_on_interrupt() as cancel:
        _train(pairs, output, params, scheme, parse_pixel_size(pixel_size), resume, cancel)


@app.command("predict")
def predict_command(
    image: Annotated[Path, typer.Argument(help="Image or slide.")],
    model: Annotated[
        str, typer.Option(metavar="NAME|FOLDER", help="A region model: as added, or its folder.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Areas as .geojson or .parquet, or pixels as .ome.zarr."
        ),
    ],
    tissue: Annotated[str, typer.Option(metavar="auto|none|FILE", help="Where to look.")] = "auto",
    min_area: Annotated[
        float, typer.Option(min=0, metavar="UM2", help="Smaller pieces join what is around them.")
    ] = 2000,
    sure: Annotated[
        float,
        typer.Option(
            min=0, help="How sure a guide must be for a tile to be skipped; above 1 none is."
        ),
    ] = 0.95,
    pixel_size: PixelSizeOption = None,
    device: DeviceOption = DeviceName.AUTO,
    z: Annotated[int, typer.Option(min=0, help="Focal plane, from 0.")] = 0,
    series: Annotated[int, typer.Option(min=0, help="Which image of a file, from 0.")] = 0,
) -> None:
    """Tell the tissue of every pixel, and write areas or pixels."""
    from napari_histo.models import load_region_model
    from napari_histo.pipeline.regions import RegionRequest, find_regions
    from napari_histo.slides import open_slide
    from napari_histo.store.regions import check_regions_output, save_regions

    check_regions_output(output)
    segmenter = load_region_model(model, device=device.value)
    size = parse_pixel_size(pixel_size)
    began = time.monotonic()
    with cancel_on_interrupt() as cancel, open_slide(image, z=z, series=series) as reader:
        mask = _tissue(tissue, reader, size, cancel)
        request = RegionRequest(mask, size, sure)
        found = drive(find_regions(reader, segmenter, request, cancel), image.name)
        source = f"napari-histo regions {segmenter.info.name}"
        save_regions(output, found.map, reader.info, least_um2=min_area, source=source)
    for note in found.notes:
        err.print(note, markup=False)
    areas = found.map.areas_um2.items()
    n = ", ".join(f"{name} {area / 1e6:.2f} mm²" for name, area in areas)
    took = f"{found.n_refined} of {found.n_tiles} tiles, {time.monotonic() - began:.1f} s"
    out.print(f"{image.name}: {n} -> {output} ({took})", markup=False)


def _train(
    pairs: list[tuple[Path, Path]],
    output: Path,
    params: RegionTraining,
    classes: ClassScheme | None,
    size: PixelSize | None,
    resume: bool,
    cancel: CancelToken,
) -> None:
    from napari_histo.learning.tissue.examples import RegionExample
    from napari_histo.learning.tissue.training import train_regions
    from napari_histo.slides import open_slide
    from napari_histo.store import load_objects

    with ExitStack() as stack:
        examples = [
            RegionExample(stack.enter_context(open_slide(image)), load_objects(areas), size)
            for image, areas in pairs
        ]
        _check_painted(classes, [example.areas for example in examples])
        work = train_regions(examples, output, params, cancel, classes=classes, resume=resume)
        done = drive(work, output.name)
    for name, iou in done.iou.items():
        out.print(f"{name}: IoU {iou:.3f}" if iou == iou else f"{name}: not judged", markup=False)
    where = f"{_counted(done.n_areas, 'painted area')} of {_counted(done.n_images, 'image')}"
    mean = f"Mean IoU {done.mean_iou:.3f} on held-out parts of {where}"
    if not done.n_areas:
        mean = "Not judged: too little is painted to hold some of it out; paint more areas"
    out.print(f"{mean} -> {done.folder} ({done.seconds:.0f} s)", markup=False)
    if rough := _rough(done):
        err.print(rough, markup=False, style="yellow")


def _rough(done: TrainedRegions) -> str:
    """How little the figure says where few areas of few images gave it; "" where they do."""
    from napari_histo.learning.rounds.promotion_terms import FEWEST_AREAS, FEWEST_UNITS

    enough = done.n_areas >= FEWEST_AREAS and done.n_images >= FEWEST_UNITS
    if enough or not done.n_areas:
        return ""
    return (
        f"A rough figure: from fewer than {FEWEST_AREAS} areas or {FEWEST_UNITS} images it says "
        "little of other slides. Look at what 'napari-histo regions predict' finds on one that was "
        "not painted, or paint areas on more images."
    )


def _counted(n: int, thing: str) -> str:
    return f"{n} {thing}{'' if n == 1 else 's'}"


def _annotations_of(images: list[Path], given: list[Path]) -> list[Path]:
    """The file of painted areas for each image."""
    if len(given) == 1 and given[0].is_dir():
        return [_beside(given[0], image) for image in images]
    if len(given) != len(images):
        raise typer.BadParameter(
            f"{len(given)} annotations for {len(images)} images. Give one --annotations an image, "
            "in the same order, or one folder."
        )
    twice = [str(p) for p, n in Counter(given).items() if n > 1]
    if twice:
        raise typer.BadParameter(f"{', '.join(twice)} is given for several images.")
    return given


def _beside(folder: Path, image: Path) -> Path:
    stem = image.stem.removesuffix(".ome")
    names = [f"{n}{s}" for n in (stem, image.name) for s in (".geojson", ".geojson.gz", ".parquet")]
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise typer.BadParameter(f"{folder} holds no annotations of {image.name} ({names[0]}).")
    return found


def _check_painted(classes: ClassScheme | None, painted: list[ObjectTable]) -> None:
    """A class that nobody painted is a slip, and would be missing from the model for good."""
    there = dict.fromkeys(name for table in painted for name in table.class_names)
    missing = [name for name in classes.names if name not in there] if classes else []
    if missing:
        raise typer.BadParameter(
            f"no area has the class {', '.join(missing)}. Painted are: {', '.join(there)}.",
            param_hint="--classes",
        )


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(set(names)) != len(names) or not names:
        raise typer.BadParameter(f"'{text}' is not a list of class names, each once.")
    return names


def _tissue(
    wish: str, reader: SlideReader, size: PixelSize | None, cancel: CancelToken
) -> TissueMask | None:
    from napari_histo.pipeline.tissue import find_tissue_steps, load_tissue

    if wish == "none":
        return None
    if wish != "auto":
        return load_tissue(Path(wish), reader.info)
    work = find_tissue_steps(reader, pixel_size=size, cancel=cancel)
    return drive(work, f"{reader.info.name}: tissue")
