"""How rounds of a project are done on this machine, where not as they usually are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

from napari_histo.learning.project.places import local_facts, remember
from napari_histo.learning.rounds.several import Merging

__all__ = ["RoundOptions"]

_OPTIONS = "options"


@dataclass(frozen=True)
class RoundOptions:
    """What a person chose once, and meets again when the project is opened another time.

    Attributes
    ----------
    encoder : Path or None
        Folder of an encoder that says what regions look like; None for the model in use.
    merging : {"majority", "staple", "first"}
        What becomes of a region that several people annotated.
    compose : float
        Share of artificial patches of touching nuclei in training, 0 to 1.
    """

    encoder: Path | None = None
    merging: Merging = "majority"
    compose: float = 0.0

    @property
    def settings(self) -> dict[str, float]:
        """Of a training, those that are not its defaults."""
        return {"compose": self.compose} if self.compose else {}

    @classmethod
    def of(cls, project: Path) -> Self:
        """As they were kept; the usual ones in place of what is missing or cannot be."""
        found = local_facts(project).get(_OPTIONS)
        words: Any = found if isinstance(found, dict) else {}
        encoder, merging, compose = (words.get(key) for key in ("encoder", "merging", "compose"))
        is_share = isinstance(compose, int | float) and 0 <= compose <= 1
        return cls(
            Path(encoder) if isinstance(encoder, str) and encoder else None,
            merging if merging in get_args(Merging) else cls.merging,
            float(compose) if is_share else cls.compose,
        )

    def keep(self, project: Path) -> None:
        """Remember them with the project, on this machine.

        Raises
        ------
        WriteError
        """
        encoder = "" if self.encoder is None else str(self.encoder.absolute())
        words = {"encoder": encoder, "merging": self.merging, "compose": self.compose}
        remember(project, **{_OPTIONS: words})
