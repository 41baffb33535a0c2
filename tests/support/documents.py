"""Edits of documents on disk, and what is left of one after a crash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_histo.core import ClassScheme, Contours, Edit, ObjectTable
from napari_histo.session.annotate.document import Document

CLASSES = ClassScheme.of("Tumor", "Stroma")


def squares(n: int, seed: int = 0, **columns) -> ObjectTable:
    rng = np.random.default_rng(seed)
    corners = np.array([[0, 0], [2, 0], [2, 2], [0, 2]]) + np.round(rng.random((n, 1, 2)) * 1000, 2)
    return ObjectTable.build(Contours.from_star(corners), classes=CLASSES, class_id=0, **columns)


def adding(table: ObjectTable) -> Edit:
    return Edit("Click", ObjectTable.empty(table.classes), table)


def relabelling(table: ObjectTable) -> Edit:
    return Edit("Relabel", table, replace(table, class_id=np.ones(len(table), np.int32)))


def everything(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def crash(document: Document) -> None:
    """What is left of a document after kill -9: its files, not its lock."""
    document._wait()
    document._open_journal.close()
    document._home.lock.release()
