# SPDX-License-Identifier: GPL-3.0-or-later
"""``qupath-bridge init``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from napari_histo.core import ClassScheme
from napari_histo.errors import BridgeError
from qupath_bridge._class_file import DEFAULT_CLASSES
from qupath_bridge._cli_progress import drive
from qupath_bridge.project import open_project
from qupath_bridge.project_images import AddedFile, AddedImage, ImageType, adding, check_new

__all__ = ["add_to"]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init", help="Make a QuPath project of image files. Needs QuPath.")(_init)


def _init(
    project: Annotated[
        Path, typer.Argument(metavar="PROJECT", help="A folder that is not there yet, or empty.")
    ],
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[IMAGES]...", help="Image files.")
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option("--images", metavar="FILE...", help="Image files; any number may follow."),
    ] = None,
    image_type: Annotated[
        ImageType | None,
        typer.Option("--type", help="Of all images; without it QuPath asks at the first opening."),
    ] = None,
    class_names: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="A class of the new project, instead of QuPath's own. May be given several times.",
        ),
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Add to a project that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    files = [*(images or ()), *(more or ())]
    if not files:
        raise BridgeError("Name the images: qupath-bridge init PROJECT --images FILE...")
    if add and class_names:
        raise BridgeError("--class is for a new project; leave it out with --add.")
    folder = open_project(project).folder if add else project.expanduser()
    if not add:
        check_new(folder)
    classes = ClassScheme.of(*class_names) if class_names else DEFAULT_CLASSES
    work = adding(folder, files, image_type=image_type, classes=classes)
    found = drive(work, err)
    if as_json:
        words = {"project": str(folder / "project.qpproj"), "files": [_words(f) for f in found]}
        print(json.dumps(words, indent=2, ensure_ascii=False))
    else:
        _print(found, folder)
    for file in found:
        if file.state == "failed":
            err.print(file.message, markup=False)
    if any(file.state == "failed" for file in found):
        raise typer.Exit(1)


def _words(file: AddedFile) -> dict[str, Any]:
    return {**asdict(file), "file": str(file.file)}


def _print(found: list[AddedFile], folder: Path) -> None:
    for file in found:
        if file.state == "there":
            out.print(f"{file.file.name}: in the project already", markup=False)
        for image in file.images:
            out.print(_line(image), markup=False)
    n_added = sum(len(file.images) for file in found)
    if n_added:
        out.print(f"{n_added} images added to {folder}. Open it in QuPath with File > Project.")


def _line(image: AddedImage) -> str:
    pixel = f"{image.pixel_um:.4g} µm/px" if image.pixel_um else "pixel size unknown"
    levels = f"{image.n_levels} levels" if image.n_levels > 1 else "1 level"
    return f"{image.name}: {image.width} x {image.height} px, {levels}, {pixel}"
