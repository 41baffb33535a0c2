"""``napari-histo classify``: classes of cells that are learned from examples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from napari_histo.cli._arguments import DeviceName, JsonOption, PixelSizeOption, parse_pixel_size
from napari_histo.cli._classifying import Featured, Maker, pairs_of
from napari_histo.cli._console import cancel_on_interrupt, err, out
from napari_histo.core import ObjectTable
from napari_histo.errors import LearningError, WriteError

if TYPE_CHECKING:
    from napari_histo.learning.cells.classifier import CellClassifier
    from napari_histo.learning.cells.recipe import FeatureRecipe

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Classes of cells, learned from examples."
)

_Objects = Annotated[
    list[Path],
    typer.Argument(help="Objects: GeoJSON, GeoParquet, run folders, or a folder of such files."),
]
_Image = Annotated[
    list[Path] | None,
    typer.Option(help="Their image, to measure what they lack; once for each, or a folder."),
]
_Every = Annotated[
    bool,
    typer.Option(
        "--every", help="Every object with a class is an example, accepted by a person or not."
    ),
]
_Areas = Annotated[
    bool, typer.Option("--areas", help="Objects within annotations of a class are examples, too.")
]
_Device = Annotated[DeviceName, typer.Option(help="Where the network runs, if there is one.")]


@app.callback()
def _group() -> None:
    """Classes of cells, learned from examples."""


@app.command("train")
def train_command(
    objects: _Objects,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the classifier.")],
    image: _Image = None,
    pixel_size: PixelSizeOption = None,
    every: _Every = False,
    areas: _Areas = False,
    around: Annotated[
        float,
        typer.Option(min=0, metavar="UM", help="Radius of the neighbours that count; 0: none."),
    ] = 50.0,
    expand_um: Annotated[
        float | None,
        typer.Option(min=0, metavar="UM", help="Measure so much around nuclei, too."),
    ] = None,
    stains: Annotated[
        str | None,
        typer.Option(metavar="he|hdab|auto|auto-hdab|channels|TEXT", help="As for 'measure'."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Features of this StarDist model's last layer, too."),
    ] = None,
    add_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Examples of this classifier count, too, and features are made as it has them.",
        ),
    ] = None,
    device: _Device = DeviceName.AUTO,
    seed: Annotated[int, typer.Option(help="Of the cross-validation.")] = 0,
) -> None:
    """Learn classes from objects that a person classified, and from points with a class."""
    from napari_histo.learning.cells.examples import Examples, examples_of
    from napari_histo.learning.cells.files import load_examples, save_classifier
    from napari_histo.learning.cells.recipe import FeatureRecipe
    from napari_histo.learning.cells.training import cross_validate, train_on

    _check_folder(output)
    recipe = FeatureRecipe((around,) if around else (), network, None, expand_um, stains)
    parts = []
    if add_to is not None:
        recipe = FeatureRecipe.from_dict(_loaded(add_to).recipe)
        parts.append(load_examples(add_to))
    with _maker(recipe, pixel_size, device) as maker:
        for pair in pairs_of(objects, image or []):
            found = maker.make(*pair)
            class_id = examples_of(found.table, every=every, areas=areas)
            parts.append(
                Examples.of(found.features, class_id, found.table.classes, group=found.name)
            )
            _tell_examples(found, class_id, every=every)
    examples = Examples.join(parts)
    classifier = train_on(examples, recipe=maker.recipe.as_dict(), seed=seed)
    classifier = classifier.with_quality(cross_validate(examples, seed=seed))
    save_classifier(output, classifier, examples)
    _tell_classifier(classifier, output)


@app.command("apply")
def apply_command(
    classifier: Annotated[Path, typer.Argument(help="Folder of the classifier.")],
    objects: Annotated[Path, typer.Argument(help="Objects, or a folder of files of them.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Objects with classes: .geojson(.gz) or .parquet; or a folder."
        ),
    ],
    image: _Image = None,
    pixel_size: PixelSizeOption = None,
    device: _Device = DeviceName.AUTO,
) -> None:
    """Give objects their classes; what a person said of an object stays."""
    from napari_histo.learning.cells.classifier import classified
    from napari_histo.learning.cells.recipe import FeatureRecipe
    from napari_histo.store import save_objects

    pairs = pairs_of([objects], image or [])
    targets = _targets([pair[0] for pair in pairs], output)
    learned = _loaded(classifier)
    recipe = FeatureRecipe.from_dict(learned.recipe)
    with _maker(recipe, pixel_size, device, learned.names) as maker:
        for pair, target in zip(pairs, targets, strict=True):
            found = _checked(learned, maker.make(*pair))
            table = classified(found.table, learned, learned.predict(found.features))
            save_objects(target, table, info=found.info)
            out.print(f"{found.name}: {_counts(table)} -> {target}", markup=False)


@app.command("evaluate")
def evaluate_command(
    classifier: Annotated[Path, typer.Argument(help="Folder of the classifier.")],
    objects: _Objects,
    image: _Image = None,
    pixel_size: PixelSizeOption = None,
    every: _Every = False,
    areas: _Areas = False,
    device: _Device = DeviceName.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Hold a classifier against objects that a person classified, of images it never saw."""
    from napari_histo.learning.cells.examples import Examples, examples_of
    from napari_histo.learning.cells.recipe import FeatureRecipe
    from napari_histo.learning.cells.training import judge

    learned, parts = _loaded(classifier), []
    recipe = FeatureRecipe.from_dict(learned.recipe)
    with _maker(recipe, pixel_size, device, learned.names) as maker:
        for pair in pairs_of(objects, image or []):
            found = _checked(learned, maker.make(*pair))
            truth = examples_of(found.table, every=every, areas=areas)
            parts.append(Examples.of(found.features, truth, found.table.classes, group=found.name))
            _tell_examples(found, truth, every=every)
    words = judge(learned, Examples.join(parts))
    if as_json:
        print(json.dumps(words, indent=2))
        return
    out.print(_quality_table(words))


@contextmanager
def _maker(
    recipe: FeatureRecipe,
    pixel_size: str | None,
    device: DeviceName,
    names: tuple[str, ...] | None = None,
) -> Iterator[Maker]:
    """Who makes features by a recipe, with the network that it names."""
    from napari_histo.learning.cells.network import load_network

    model = None
    if recipe.network is not None:
        model = load_network(recipe.network, recipe.network_sha256, device=device.value)
        recipe = replace(recipe, network_sha256=model.info.sha256)
    with cancel_on_interrupt() as cancel:
        yield Maker(recipe, model, parse_pixel_size(pixel_size), cancel, names)


def _loaded(folder: Path) -> CellClassifier:
    from napari_histo.learning.cells.files import load_classifier

    return load_classifier(folder)


def _checked(learned: CellClassifier, found: Featured) -> Featured:
    from napari_histo.learning.cells.recipe import check_pixel_size

    try:
        check_pixel_size(learned.pixel_sizes_um, found.features.pixel_size_um)
    except LearningError as error:
        raise LearningError(f"{found.name}: {error}") from error
    return found


def _check_folder(output: Path) -> None:
    from napari_histo.learning.cells.files import beside_classifier
    from napari_histo.store import format_of
    from napari_histo.store.write import check_writable

    if format_of(output) is not None:
        raise WriteError(f"A classifier is a folder; {output} is the name of a file of objects.")
    check_writable(output, folder=True, strangers=beside_classifier)


def _targets(objects: list[Path], output: Path) -> list[Path]:
    from napari_histo.store import check_output, format_of
    from napari_histo.store.write import make_folder

    kind = format_of(output)
    if kind in ("geojson", "parquet") and len(objects) == 1:
        targets = [output]
    elif kind is None and not output.suffix:
        make_folder(output)
        targets = [output / path.name for path in objects]
    else:
        raise WriteError(
            f"Cannot write the classes of {len(objects)} file(s) of objects to {output}. Give a "
            ".geojson, .geojson.gz or .parquet file for one, a folder for several."
        )
    for source, target in zip(objects, targets, strict=True):
        if source.resolve() == target.resolve():
            raise WriteError(f"The result would overwrite {source}. Choose another name with -o.")
        check_output(target)
    return targets


def _tell_examples(found: Featured, class_id: NDArray[np.int32], *, every: bool) -> None:
    n = int((class_id >= 0).sum())
    if n or every:
        err.print(f"{found.name}: {n} examples", markup=False)
        return
    has_class = int((found.table.class_id >= 0).sum())
    hint = f"; {has_class} have a class that nobody accepted (--every takes them)"
    err.print(f"{found.name}: no examples{hint if has_class else ''}", markup=False)


def _tell_classifier(classifier: CellClassifier, output: Path) -> None:
    out.print(_quality_table(classifier.quality, classifier.counts))
    left_out = classifier.quality.get("left_out")
    if left_out == "examples":
        err.print(
            "All examples are of one image: on others it will be worse. Add examples of several."
        )
    n = sum(classifier.counts.values())
    out.print(f"{n} examples, {len(classifier.names)} features -> {output}", markup=False)


def _quality_table(words: Mapping[str, Any], counts: Mapping[str, int] | None = None) -> Table:
    """F1 by class, then all."""
    table = Table("class", *(["examples"] if counts else []), "F1", box=None)
    f1 = words.get("f1", {})
    for name in counts or f1:
        own = [str(counts[name])] if counts else []
        table.add_row(name, *own, _figure(f1.get(name)))
    own = [str(sum(counts.values()))] if counts else []
    table.add_row("mean", *own, _figure(words.get("macro_f1")), style="bold")
    accuracy = _figure(words.get("accuracy"))
    title = f"accuracy {accuracy}"
    if "left_out" in words:
        title += f", on {words['left_out']} that were left out"
    table.title = title
    table.title_justify = "left"
    return table


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _counts(table: ObjectTable) -> str:
    from napari_histo.learning.cells.features import is_object

    ids = table.class_id[is_object(table) & (table.class_id >= 0)]
    n = np.bincount(ids, minlength=len(table.classes))
    named = [f"{k:,} {c.name}" for c, k in zip(table.classes, n.tolist(), strict=True) if k]
    return ", ".join(named) or "no objects"
