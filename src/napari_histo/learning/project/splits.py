"""Which groups of images teach and which judge: fixed at the start, and never torn apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from napari_histo.core.rounds import Split
from napari_histo.errors import LearningError

__all__ = ["check_split", "split_groups"]

TRAIN: Split = "train"
VALIDATION: Split = "validation"


def split_groups(
    groups: Sequence[str],
    share: float,
    seed: int,
    *,
    strata: Sequence[str] | None = None,
    known: Mapping[str, Split] | None = None,
) -> list[Split]:
    """A split for each image, so that a patient or slide is in one alone.

    Within each stratum (a stain, a hospital) about `share` of the groups validates: at least one
    where it has two or more, never all. A group of several strata counts in that of most of its
    images. The order of the images does not matter.

    Parameters
    ----------
    groups : sequence of str
        Group of each image.
    share : float
        Of the groups that are to validate, 0 to below 1.
    seed : int
    strata : sequence of str, optional
        Stratum of each image.
    known : mapping of str to Split, optional
        Groups whose split is settled already.

    Raises
    ------
    LearningError
        The share is out of range.
    """
    if not 0 <= share < 1:
        raise LearningError(
            f"The share of images that validate is {share}; give 0 to below 1, such as 0.25."
        )
    chosen: dict[str, Split] = dict(known or {})
    for stratum, names in sorted(_by_stratum(groups, strata or [""] * len(groups)).items()):
        settled = [n for n in names if n in chosen]
        n_known = sum(chosen[n] == VALIDATION for n in settled)
        open_ones = [n for n in names if n not in chosen]
        wanted = min(_how_many(len(names), share) - n_known, len(open_ones))
        rng = np.random.default_rng([seed, *stratum.encode()])
        drawn = rng.permutation(len(open_ones))[: max(0, wanted)]
        chosen |= dict.fromkeys(open_ones, TRAIN) | {open_ones[i]: VALIDATION for i in drawn}
    found = [chosen[g] for g in groups]
    if strata and share > 0 and VALIDATION not in found and len(set(groups)) > 1:
        return split_groups(groups, share, seed, known=known)  # strata of one group each
    return found


def check_split(images: Sequence[tuple[str, str, Split]]) -> None:
    """Raise LearningError where a group is on both sides; images as (id, group, split)."""
    seen: dict[str, tuple[str, Split]] = {}
    for name, group, split in images:
        other, its = seen.setdefault(group, (name, split))
        if its != split:
            raise LearningError(
                f"The group {group!r} is in both splits: {other} is for {its}, {name} for {split}. "
                "What is learnt from a patient or slide is no test on the same one; give all of "
                "its images one split."
            )


def _by_stratum(groups: Sequence[str], strata: Sequence[str]) -> dict[str, list[str]]:
    """Groups, sorted, by the stratum of most of their images."""
    votes: dict[str, dict[str, int]] = {}
    for group, stratum in zip(groups, strata, strict=True):
        counts = votes.setdefault(group, {})
        counts[stratum] = counts.get(stratum, 0) + 1
    found: dict[str, list[str]] = {}
    for group in sorted(votes):
        counts = votes[group]
        found.setdefault(min(counts, key=lambda s: (-counts[s], s)), []).append(group)
    return found


def _how_many(n: int, share: float) -> int:
    if share == 0 or n < 2:
        return 0
    return min(n - 1, max(1, round(n * share)))
