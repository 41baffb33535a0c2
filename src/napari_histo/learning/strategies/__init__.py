"""Where to look next: strategies that choose regions to annotate, by name.

All are pure and seeded: the same pool and generator give the same regions, on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from napari_histo.core.learning import QueryStrategy
from napari_histo.errors import LearningError
from napari_histo.learning.strategies.alike import Alike
from napari_histo.learning.strategies.auto import Auto
from napari_histo.learning.strategies.balance import ClassBalance
from napari_histo.learning.strategies.chance import Chance, Lattice
from napari_histo.learning.strategies.cold import HardToContrast, Typical
from napari_histo.learning.strategies.doubt import Doubt
from napari_histo.learning.strategies.spread import Badge, KCenter

__all__ = ["STRATEGIES", "Alike", "strategy"]

#: What each name makes, in the order in which users are shown them.
STRATEGIES: Mapping[str, Callable[[], QueryStrategy]] = {
    "auto": Auto,
    "typical": Typical,
    "contrast": HardToContrast,
    "uncertain": lambda: Doubt("margin"),
    "disagreement": lambda: Doubt("disagreement"),
    "dropout": lambda: Doubt("dropout"),
    "diverse": KCenter,
    "badge": Badge,
    "balance": ClassBalance,
    "grid": Lattice,
    "random": Chance,
}


def strategy(name: str) -> QueryStrategy:
    """A strategy by name.

    Raises
    ------
    LearningError
        There is none of that name.
    """
    try:
        return STRATEGIES[name]()
    except KeyError:
        raise LearningError(
            f"There is no strategy {name!r} to choose regions; use {', '.join(STRATEGIES)}."
        ) from None
