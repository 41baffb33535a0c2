# SPDX-License-Identifier: GPL-3.0-or-later
"""Three-way merge of classes by name: none goes, and a colour that one side changed is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_histo.core import ClassDef, ClassScheme

__all__ = ["ClassConflict", "MergedClasses", "merge_classes"]

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class ClassConflict:
    """A class to which both sides gave another colour.

    Attributes
    ----------
    name : str
    base, ours, theirs : (int, int, int) or None
        Colours; `base` is None where the class is new.
    choice : str
        ``"ours"``, ``"theirs"``, or ``"ask"`` while nobody decided.
    """

    name: str
    base: Rgb | None
    ours: Rgb
    theirs: Rgb
    choice: str


@dataclass(frozen=True)
class MergedClasses:
    """Classes after a merge: of the merged table, of each side, of the new base."""

    merged: ClassScheme
    ours: ClassScheme
    theirs: ClassScheme
    base: ClassScheme
    conflicts: tuple[ClassConflict, ...]


def merge_classes(
    base: ClassScheme,
    ours: ClassScheme,
    theirs: ClassScheme,
    policy: str,
    answers: Mapping[Any, str],
) -> MergedClasses:
    """All classes of both sides, each side's own first; see `ClassConflict` for colours."""
    colours = [{c.name: c.rgb for c in scheme} for scheme in (base, ours, theirs)]
    conflicts: list[ClassConflict] = []
    merged: dict[str, Rgb] = {}
    for name in ours.union(theirs).names:
        before, left, right = (side.get(name) for side in colours)
        if left is None or right is None or left == right:
            merged[name] = left or right or (0, 0, 0)
        elif before in (left, right):
            merged[name] = right if before == left else left
        else:
            choice = _choice(answers.get(name, policy))
            conflicts.append(ClassConflict(name, before, left, right, choice))
            merged[name] = right if choice == "theirs" else left
    open_ = {c.name: c for c in conflicts if c.choice == "ask"}
    scheme = _scheme(ours.union(theirs).names, merged)
    return MergedClasses(
        scheme,
        scheme,
        _scheme(theirs.union(ours).names, merged | {n: c.theirs for n, c in open_.items()}),
        _scheme(
            [n for n in scheme.names if n not in open_ or open_[n].base is not None],
            merged | {n: c.base or c.ours for n, c in open_.items()},
        ),
        tuple(conflicts),
    )


def _choice(policy: str) -> str:
    # A class cannot be there twice.
    return "ours" if policy == "copy" else policy


def _scheme(names: list[str] | tuple[str, ...], colours: Mapping[str, Rgb]) -> ClassScheme:
    return ClassScheme(tuple(ClassDef(name, colours[name]) for name in names))
