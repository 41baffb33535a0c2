"""``summary.csv`` of a batch: a line an image, whole at any time."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path

from rich.table import Table

from napari_histo.cli._console import err
from napari_histo.errors import WriteError

__all__ = ["ImageRow", "State", "Summary", "as_table"]

#: Longer tables are not printed but for what failed; the file has them all.
_MOST_ROWS = 40


class State(StrEnum):
    """What became of an image."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class ImageRow:
    """One image.

    Attributes
    ----------
    image : str
        Name of its file.
    state : State
    objects : int or None
    area_mm2 : float or None
        Where objects were looked for; None where nobody knows the pixel size.
    area_of : str
        What that is: ``image``, ``region`` or ``tissue``.
    seconds : float or None
        That its last run took.
    result : str
        Name of the file in the folder; empty where there is none.
    message : str
        One line.
    """

    image: str
    state: State
    objects: int | None = None
    area_mm2: float | None = None
    area_of: str = ""
    seconds: float | None = None
    result: str = ""
    message: str = ""

    @property
    def objects_per_mm2(self) -> float | None:
        """Density; None where it has no meaning."""
        return self.objects / self.area_mm2 if self.objects is not None and self.area_mm2 else None

    def to_line(self) -> dict[str, object]:
        """Columns of the file, in their order; empty where nothing is known."""
        line = asdict(self) | {"message": " ".join(self.message.split())}
        if self.seconds is not None:
            line["seconds"] = round(self.seconds, 2)
        names = [f.name for f in fields(self)]
        names.insert(names.index("seconds"), "objects_per_mm2")
        line["objects_per_mm2"] = self.objects_per_mm2
        return {name: "" if line[name] is None else line[name] for name in names}

    @classmethod
    def from_line(cls, line: dict[str, str]) -> ImageRow:
        """A line of the file; KeyError or ValueError where it is none."""
        area, seconds = (float(line[n]) if line[n] else None for n in ("area_mm2", "seconds"))
        objects = int(line["objects"]) if line["objects"] else None
        words = (line["area_of"], seconds, line["result"], line["message"])
        return cls(line["image"], State(line["state"]), objects, area, *words)


class Summary:
    """The file, written anew after each image.

    Parameters
    ----------
    path : Path
    keep : bool
        Begin with the lines that are there; a table that cannot be read counts as none.
    """

    def __init__(self, path: Path, *, keep: bool) -> None:
        self.path = path
        self.rows: dict[str, ImageRow] = _read(path) if keep else {}
        self._told = False

    def add(self, row: ImageRow) -> None:
        """Add a line, or replace that of the same image.

        A table that another program holds open stops no work: it is told once, and tried again
        with the next image.
        """
        from napari_histo.store.measurement_csv import write_rows_csv

        self.rows[row.image] = row
        try:
            write_rows_csv(self.path, [row.to_line() for row in self.rows.values()])
        except WriteError as error:
            if not self._told:
                err.print(f"{error} The work goes on without it.", markup=False)
            self._told = True


def _read(path: Path) -> dict[str, ImageRow]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [ImageRow.from_line(line) for line in csv.DictReader(stream)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}
    return {row.image: row for row in rows}


def as_table(rows: Iterable[ImageRow]) -> Table | None:
    """For the terminal; of long batches what failed alone, None where that is nothing."""
    shown = list(rows)
    if len(shown) > _MOST_ROWS:
        shown = [row for row in shown if row.state is State.FAILED]
    if not shown:
        return None
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("image", overflow="fold")
    table.add_column("state")
    for name in ("objects", "mm²", "per mm²", "s"):
        table.add_column(name, justify="right")
    table.add_column("of")
    for row in shown:
        numbers = (
            _text(row.objects, ",d"),
            _text(row.area_mm2, ".3f"),
            _text(row.objects_per_mm2, ",.0f"),
            _text(row.seconds, ".1f"),
        )
        style = "red" if row.state is State.FAILED else None
        table.add_row(row.image, row.state.value, *numbers, row.area_of, style=style)
    return table


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
