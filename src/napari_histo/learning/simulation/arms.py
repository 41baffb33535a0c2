"""Ways to play active learning, as `simulate` compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from napari_histo.errors import LearningError

__all__ = ["ARMS", "Arm", "in_order"]


@dataclass(frozen=True)
class Arm:
    """One way of doing it.

    Attributes
    ----------
    name : str
    strategy : str
        See `napari_histo.learning.strategies`.
    goes_on : bool
        True to train the last model on, with replay; False to start anew in each round.
    follows : str
        Arm whose regions are taken, instead of choosing some: what differs then comes of training
        alone. It must be played too.
    """

    name: str
    strategy: str
    goes_on: bool
    follows: str = ""


#: Arms by name: what is compared unless asked otherwise comes first.
ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("default", "auto", goes_on=True),
        Arm("random-scratch", "random", goes_on=False),
        Arm("random-replay", "random", goes_on=True),
        Arm("auto-scratch", "auto", goes_on=False, follows="default"),
        Arm("typical-replay", "typical", goes_on=True),
        Arm("uncertain-replay", "uncertain", goes_on=True),
        Arm("disagreement-replay", "disagreement", goes_on=True),
        Arm("diverse-replay", "diverse", goes_on=True),
        Arm("contrast-replay", "contrast", goes_on=True),
        Arm("grid-replay", "grid", goes_on=True),
    )
}


def in_order(arms: Sequence[Arm]) -> list[Arm]:
    """Arms as given, but those that follow after the others.

    Raises
    ------
    LearningError
        One follows an arm that is not among them.
    """
    names = {arm.name for arm in arms}
    for arm in arms:
        if arm.follows and arm.follows not in names:
            raise LearningError(
                f"The arm {arm.name!r} takes the regions of {arm.follows!r}. Play both: "
                f"--arm {arm.follows} --arm {arm.name}."
            )
    return sorted(arms, key=lambda arm: bool(arm.follows))
