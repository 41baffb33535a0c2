"""A folder of images with their label images, as `simulate` plays on them.

``splits.csv`` says for each image its ``dataset`` (a folder with ``images`` and ``labels``),
``stain``, ``pixel_size_um`` (may be empty), ``group`` (patient or field), ``id`` and ``split``
(``train`` or ``val``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from napari_histo.core import Contours, ObjectTable, PixelSize, SlideReader
from napari_histo.core.learning import LabelledRegion
from napari_histo.errors import ObjectsFileError
from napari_histo.learning.simulation.truth import TruthImage
from napari_histo.learning.training import Example
from napari_histo.pipeline.splits import read_table
from napari_histo.slides import open_slide
from napari_histo.store.dispatch import read_labels
from napari_histo.store.labels import labels_to_table

__all__ = ["open_truth", "read_examples"]

_COLUMNS = ("dataset", "stain", "pixel_size_um", "group", "id", "split")
_JUDGES = 0.2


@contextmanager
def open_truth(
    folder: Path | str, stains: Collection[str] = (), *, nucleus_um: float = 5.1, seed: int = 0
) -> Iterator[list[TruthImage]]:
    """Images of a folder with open readers, closed at the end.

    Parameters
    ----------
    folder : path
        With ``splits.csv``.
    stains : collection of str
        Only these; all by default.
    nucleus_um : float
        Median diameter that nuclei are taken to have where a group's pixel size is unknown, µm.
    seed : int
        Of the draw of groups of the training split, a fifth of the images, that choose thresholds.

    Raises
    ------
    ObjectsFileError
        The table or a file of it is missing or damaged, or no image has such a stain.
    """
    table = Path(folder) / "splits.csv"
    rows = [r for r in read_table(table, _COLUMNS) if not stains or r["stain"] in stains]
    if not rows:
        raise ObjectsFileError(f"No image in {folder} has the stain {' or '.join(sorted(stains))}.")
    judges = _judges([r for r in rows if r["split"] == "train"], seed)
    with ExitStack() as stack:
        opened = [(row, *_open(Path(folder), row, stack)) for row in rows]
        sizes = _sizes([(row, truth) for row, _, truth in opened], nucleus_um)
        yield [
            TruthImage(
                row["id"],
                reader,
                truth,
                "judge" if row["group"] in judges else {"val": "test"}.get(row["split"], "train"),
                sizes[row["group"]],
                row["group"],
            )
            for row, reader, truth in opened
        ]


def read_examples(folder: Path | str, stain: str, split: str, stack: ExitStack) -> list[Example]:
    """Whole images of a stain and a split with their true objects, at their own pixel size.

    Readers are closed with `stack`.

    Raises
    ------
    ObjectsFileError
        The table or a file of it is missing or damaged.
    """
    found = []
    for row in read_table(Path(folder) / "splits.csv", _COLUMNS):
        if (row["stain"], row["split"]) == (stain, split):
            reader, truth = _open(Path(folder), row, stack)
            whole = LabelledRegion(row["id"], reader.info.box, truth, Contours.empty())
            size = PixelSize.square(float(row["pixel_size_um"])) if row["pixel_size_um"] else None
            found.append(Example(reader, whole, size, row["group"]))
    return found


def _open(
    folder: Path, row: Mapping[str, str], stack: ExitStack
) -> tuple[SlideReader, ObjectTable]:
    """An image and its true objects."""
    place = folder / row["dataset"]
    reader = stack.enter_context(open_slide(place / "images" / f"{row['id']}.png"))
    return reader, labels_to_table(read_labels(place / "labels" / f"{row['id']}.png"))


def _judges(rows: list[dict[str, str]], seed: int) -> set[str]:
    """Groups that choose thresholds, in every stain about a fifth of the images."""
    rng = np.random.default_rng(seed)
    chosen: set[str] = set()
    by_stain: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_stain[row["stain"]].append(row["group"])
    for groups in by_stain.values():
        n = 0
        for group in rng.permutation(sorted(set(groups))):
            if n >= _JUDGES * len(groups) or len(set(groups) - chosen) < 2:
                break
            # A group with half of the images would leave too few to choose from.
            if groups.count(group) <= 0.5 * len(groups):
                chosen.add(str(group))
                n += groups.count(group)
    return chosen


def _sizes(
    images: list[tuple[dict[str, str], ObjectTable]], nucleus_um: float
) -> dict[str, PixelSize]:
    """Pixel size of each group: the table's, or what gives its nuclei their usual size."""
    diameters: dict[str, list[float]] = defaultdict(list)
    known: dict[str, PixelSize] = {}
    for row, truth in images:
        diameters[row["group"]] += np.sqrt(4 / np.pi * truth.areas_px).tolist()
        if row["pixel_size_um"]:
            known[row["group"]] = PixelSize.square(float(row["pixel_size_um"]))
    guessed = {
        group: PixelSize.square(nucleus_um / float(np.median(values)))
        for group, values in diameters.items()
        if values
    }
    return {group: PixelSize.square(0.25) for group in diameters} | guessed | known
