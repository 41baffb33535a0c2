"""The command ``napari-histo`` and its subcommands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from napari_histo import __version__
from napari_histo.cli import (
    cells,
    classify,
    demo,
    doctor,
    evaluate,
    evaluate_prompts,
    learn,
    measure,
    models,
    positivity,
    prompt,
    regions,
    segment,
    tissue,
)
from napari_histo.cli._console import say_error
from napari_histo.errors import Cancelled, HistoError

__all__ = ["app", "main"]

app = typer.Typer(
    name="napari-histo",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Nuclei and cells on images and whole slides, for napari and QuPath.",
)
app.command("segment")(segment.segment_command)
app.command("cells")(cells.cells_command)
app.command("tissue")(tissue.tissue_command)
app.command("measure")(measure.measure_command)
app.command("positivity")(positivity.positivity_command)
app.command("prompt")(prompt.prompt_command)
app.command("evaluate")(evaluate.evaluate_command)
app.command("evaluate-prompts")(evaluate_prompts.evaluate_prompts_command)
app.command("doctor")(doctor.doctor_command)
app.command("demo")(demo.demo_command)
app.add_typer(classify.app, name="classify")
app.add_typer(models.app, name="models")
app.add_typer(regions.app, name="regions")
app.add_typer(learn.app, name="learn")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"napari-histo {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print version."),
    ] = False,
) -> None:
    """Options before the command."""


def main() -> None:
    """Run the command line; errors meant for users are one message and exit code 1."""
    try:
        app(prog_name="napari-histo")
    except Cancelled as stop:
        say_error(str(stop))
        sys.exit(130)
    except HistoError as error:
        say_error(str(error))
        sys.exit(1)
