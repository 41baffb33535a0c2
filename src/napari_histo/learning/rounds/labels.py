"""Labelled regions on disk, as they were when they were collected: GeoParquet and a sealed list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from napari_histo.core import Box, ObjectTable
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.rounds import Split
from napari_histo.errors import LearningError, ObjectsFileError
from napari_histo.learning.rounds.files import (
    digest_of_files,
    read_sealed,
    sha256_of,
    write_sealed,
)
from napari_histo.store.parquet import read_parquet, write_parquet
from napari_histo.store.write import atomic_path

__all__ = ["LABELS", "KeptRegion", "check_labels", "list_labels", "read_labels", "write_labels"]

#: The sealed list in a folder of labels.
LABELS = "labels.json"


@dataclass(frozen=True, eq=False)
class KeptRegion:
    """A labelled region as it was collected.

    Attributes
    ----------
    region_id : str
    split : {"train", "validation"}
        Of its image, then.
    labels : LabelledRegion
        What teaches or judges.
    each : tuple of LabelledRegion
        What each annotator had, where `labels` is the consensus of several.
    consensus : mapping
        How far they agree, in JSON's types; empty of one annotator.
    """

    region_id: str
    split: Split
    labels: LabelledRegion
    each: tuple[LabelledRegion, ...] = ()
    consensus: Mapping[str, Any] = field(default_factory=dict)


def write_labels(
    folder: Path, regions: Sequence[KeptRegion], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Write regions into a new folder, whole or not at all, sealed; returns the list.

    Raises
    ------
    LearningError
        The folder is there already, or two regions have one id.
    WriteError
    """
    if folder.exists():
        raise LearningError(f"{folder} is sealed and is not written again.")
    ids = [kept.region_id for kept in regions]
    if len(set(ids)) != len(ids):
        raise LearningError(f"Two regions have one id, among {sorted(ids)[:20]}. Remove the copy.")
    with atomic_path(folder, folder=True) as work:
        rows = [_write(work, kept) for kept in sorted(regions, key=lambda k: k.region_id)]
        files = digest_of_files(work)
        return write_sealed(work / LABELS, {**about, "regions": rows, "files": files})


def list_labels(folder: Path) -> dict[str, Any]:
    """The sealed list: a row a region, and the hash of each file."""
    return read_sealed(folder / LABELS)


def read_labels(folder: Path, split: Split | None = None) -> list[KeptRegion]:
    """Regions of a folder, by id; of one split where one is given. Each file's hash is checked.

    Raises
    ------
    LearningError
        A file is missing or was changed; the message names it.
    """
    words = list_labels(folder)
    try:
        rows = [r for r in words["regions"] if split in (None, r["split"])]
        return [_read(folder, row, words["files"]) for row in rows]
    except (KeyError, TypeError, ValueError, ObjectsFileError) as error:
        raise LearningError(f"{folder / LABELS} does not fit its files: {error}.") from error


def check_labels(folder: Path) -> list[str]:
    """What is wrong with a folder of labels, one sentence each; nothing where all is well."""
    try:
        files: Mapping[str, str] = list_labels(folder).get("files", {})
    except LearningError as error:
        return [str(error)]
    wrong = []
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{path} is missing.")
        elif sha256_of(path) != digest:
            wrong.append(f"{path} was changed since it was sealed.")
    strangers = digest_of_files(folder).keys() - {*files, LABELS}
    return wrong + [f"{folder / n} was added after the labels were sealed." for n in strangers]


def _write(folder: Path, kept: KeptRegion) -> dict[str, Any]:
    box = kept.labels.region
    row = {
        "id": kept.region_id,
        "image": kept.labels.image,
        "split": kept.split,
        "box": [box.x, box.y, box.width, box.height],
        "round": kept.labels.round,
        **_write_labels(folder, kept.region_id, kept.labels),
    }
    if kept.each:
        single = [
            _write_labels(folder, _single(kept.region_id, n), labels)
            for n, labels in enumerate(kept.each)
        ]
        row |= {"each": single, "consensus": dict(kept.consensus)}
    return row


def _single(region_id: str, n: int) -> str:
    """File of one annotator's labels of a region, without its ending."""
    return f"{region_id}.annotator-{n + 1}"


def _write_labels(folder: Path, stem: str, labels: LabelledRegion) -> dict[str, Any]:
    write_parquet(folder / f"{stem}.parquet", labels.objects)
    if len(labels.ignored):
        areas = ObjectTable.build(labels.ignored, object_id=_ids(len(labels.ignored)))
        write_parquet(folder / f"{stem}.ignored.parquet", areas)
    return {
        "annotator": labels.annotator,
        "objects": len(labels.objects),
        "ignored": len(labels.ignored),
    }


def _ids(n: int) -> Any:
    """Ids of areas, which nobody asks for: the same each time."""
    import numpy as np

    from napari_histo.core import new_ids

    return new_ids(n, np.random.default_rng(0))


def _read(folder: Path, row: Mapping[str, Any], files: Mapping[str, str]) -> KeptRegion:
    name = str(UUID(row["id"]))  # and nothing that names a file elsewhere
    each = [
        _read_labels(folder, _single(name, n), {**row, **own}, files)
        for n, own in enumerate(row.get("each", ()))
    ]
    labels = _read_labels(folder, name, row, files)
    return KeptRegion(row["id"], row["split"], labels, tuple(each), row.get("consensus", {}))


def _read_labels(
    folder: Path, stem: str, row: Mapping[str, Any], files: Mapping[str, str]
) -> LabelledRegion:
    objects = _table(folder, f"{stem}.parquet", files)
    ignored = ObjectTable.empty()
    if row["ignored"]:
        ignored = _table(folder, f"{stem}.ignored.parquet", files)
    return LabelledRegion(
        row["image"],
        Box(*row["box"]),
        objects,
        ignored.contours,
        row["annotator"],
        row["round"],
    )


def _table(folder: Path, name: str, files: Mapping[str, str]) -> ObjectTable:
    path = folder / name
    if not path.is_file():
        raise LearningError(f"{path} is missing. Bring it back from a copy of the project.")
    if sha256_of(path) != files[name]:
        raise LearningError(
            f"{path} was changed since it was sealed. Bring back the original, for example from a "
            "copy of the project."
        )
    return read_parquet(path)
