"""What can be undone: edits, and what was being pointed at when they were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from napari_histo.core import Edit, Prompt

__all__ = ["History", "Moment", "Step"]


@dataclass(frozen=True)
class Moment:
    """What the person was working on.

    Attributes
    ----------
    selection : tuple of UUID
    active : UUID or None
        Object that further clicks refine.
    prompts : tuple of Prompt
        Gestures that made the active object, full-resolution px.
    """

    selection: tuple[UUID, ...] = ()
    active: UUID | None = None
    prompts: tuple[Prompt, ...] = ()


@dataclass(frozen=True, eq=False)
class Step:
    """An edit, and the moments before and after it."""

    edit: Edit
    before: Moment
    after: Moment


@dataclass(eq=False)
class History:
    """One stack for prompts, edits and classes, without a limit."""

    _done: list[Step] = field(default_factory=list)
    _undone: list[Step] = field(default_factory=list)

    def push(self, step: Step) -> None:
        """A new step; what was undone before it is gone."""
        self._done.append(step)
        self._undone.clear()

    @property
    def undo_name(self) -> str:
        """What undo would take back; empty where there is nothing."""
        return self._done[-1].edit.name if self._done else ""

    @property
    def redo_name(self) -> str:
        """What redo would do again; empty where there is nothing."""
        return self._undone[-1].edit.name if self._undone else ""

    def peek_undo(self) -> Step | None:
        """The step that undo would take back."""
        return self._done[-1] if self._done else None

    def peek_redo(self) -> Step | None:
        """The step that redo would do again."""
        return self._undone[-1] if self._undone else None

    def undone(self) -> None:
        """The last step was taken back."""
        self._undone.append(self._done.pop())

    def redone(self) -> None:
        """The last step that was taken back was done again."""
        self._done.append(self._undone.pop())
