"""What a StarDist network is to learn from a batch, and how far it is from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.learning.course.batches import PatchBatch
from napari_histo.models.stardist.config import StarDistConfig
from napari_histo.models.stardist.targets import star_targets

__all__ = ["LOSS_WEIGHTS", "Batch", "Patch", "Totals", "distillation", "loss_terms"]

#: What each term of `loss_terms` counts.
LOSS_WEIGHTS: Mapping[str, float] = {"bce": 1.0, "mae": 0.05, "iou": 0.3, "class": 0.5}
#: Class of pixels whose class nobody said.
NO_CLASS = -1
#: About a tenth of all pixels' probability lies in objects; their distances count as one there.
_OBJECTS_SHARE = 10.0

Outputs = tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True, eq=False)
class Patch:
    """A square to learn from.

    Attributes
    ----------
    image : (c, s, s) float32
        Normalised.
    labels : (s, s) int32
        Objects, 0 between them.
    known : (s, s) bool
        False where nobody labelled: no loss there.
    shaped : (s, s) bool
        False in objects whose whole outline is unknown: their distances teach nothing.
    classes : (n + 1,) int64
        For each label the network's class, `NO_CLASS` where unknown; the first is background.
    is_replayed : bool
        From an earlier round.
    """

    image: Tensor
    labels: NDArray[np.int32]
    known: NDArray[np.bool_]
    shaped: NDArray[np.bool_]
    classes: NDArray[np.int64] | None = None
    is_replayed: bool = False


@dataclass(frozen=True, eq=False)
class Batch(PatchBatch):
    """What is to be answered, on the network's grid.

    Attributes
    ----------
    prob, known, weight : (b, 1, h/g, w/g) float32
        Probability of an object; 1 where it is known; weight of the distances.
    dist : (b, n_rays, h/g, w/g) float32
    classes : (b, h/g, w/g) int64
        `NO_CLASS` where unknown.
    """

    prob: Tensor
    known: Tensor
    weight: Tensor
    dist: Tensor
    classes: Tensor

    @classmethod
    def of(cls, patches: Sequence[Patch], config: StarDistConfig) -> Self:
        """Targets of patches."""
        gy, gx = config.grid
        made = [star_targets(p.labels, config.n_rays, config.grid) for p in patches]
        prob = torch.from_numpy(np.stack([m[0] for m in made]))[:, None]
        dist = torch.from_numpy(np.stack([m[1] for m in made]))
        known, shaped = (
            torch.from_numpy(np.stack([getattr(p, n)[::gy, ::gx] for p in patches]))[:, None]
            for n in ("known", "shaped")
        )
        return cls(
            torch.stack([p.image for p in patches]).contiguous(memory_format=torch.channels_last),
            torch.tensor([p.is_replayed for p in patches]),
            prob,
            known.float(),
            prob * (known & shaped),
            dist,
            torch.from_numpy(np.stack([_classes(p)[::gy, ::gx] for p in patches])),
        )


def _classes(patch: Patch) -> NDArray[np.int64]:
    if patch.classes is None:
        return np.full(patch.labels.shape, NO_CLASS, np.int64)
    return np.where(patch.known, patch.classes[patch.labels], NO_CLASS)


@dataclass(frozen=True)
class Totals:
    """By what the sums of a batch are divided, so that a batch in parts counts as one."""

    known: Tensor
    weight: Tensor
    classes: Tensor

    @classmethod
    def of(cls, batch: Batch) -> Totals:
        """Of a whole batch; at least 1 each, for a batch may hold nothing."""
        classed = (batch.classes != NO_CLASS).sum()
        return cls(*(t.clamp(min=1) for t in (batch.known.sum(), batch.weight.sum(), classed)))


def loss_terms(outputs: Outputs, batch: Batch, totals: Totals | None = None) -> dict[str, Tensor]:
    """Binary cross entropy, weighted mean absolute error, -log of the polar IoU, and of the class.

    The first two are the stock losses (the second divided by its weight); the third is PolarMask's
    (Xie et al., CVPR 2020) with squared rays, so that it is the overlap of areas.
    """
    logits, dist, class_logits = outputs
    totals = totals or Totals.of(batch)
    bce = F.binary_cross_entropy_with_logits(logits.float(), batch.prob, reduction="none")
    inside = batch.weight[:, 0] > 0  # a fifth of the pixels: the ray losses cost little there
    w = batch.weight[:, 0][inside]
    found, true = (t.permute(0, 2, 3, 1)[inside].float() for t in (dist, batch.dist))
    short = torch.minimum(found, true).clamp(min=0.5)
    long = torch.maximum(found, true).clamp(min=0.5)
    iou = short.square().sum(1) / long.square().sum(1)
    terms = {
        "bce": (bce * batch.known).sum() / totals.known,
        "mae": (w * (found - true).abs().mean(1)).sum() / totals.weight,
        "iou": -(w * iou.log()).sum() / totals.weight,
    }
    if class_logits is not None:
        entropy = F.cross_entropy(
            class_logits.float(), batch.classes, ignore_index=NO_CLASS, reduction="sum"
        )
        terms["class"] = entropy / totals.classes
    return terms


def distillation(outputs: Outputs, teacher: Outputs, where: Tensor) -> tuple[Tensor, Tensor]:
    """How far outputs are from a teacher's, in the measure of the other losses.

    Needs no labels: unlabelled pixels count as well (the idea is that of Li and Hoiem, Learning
    without Forgetting, TPAMI 2018).

    Parameters
    ----------
    outputs, teacher : logits, distances and class logits
    where : (b, 1, h/g, w/g) float32
        1 where the teacher is to be heard.

    Returns
    -------
    total, number of pixels : Tensor
    """
    logits, dist = outputs[0].float(), outputs[1].float()
    t_logits, t_dist = teacher[0].float(), teacher[1].float()
    prob = t_logits.sigmoid()
    # Less its own entropy, so that an equal answer costs nothing.
    loss = F.binary_cross_entropy_with_logits(logits, prob, reduction="none")
    loss = loss - F.binary_cross_entropy_with_logits(t_logits, prob, reduction="none")
    far = (dist - t_dist).abs().mean(1, keepdim=True)
    loss = loss + LOSS_WEIGHTS["mae"] * _OBJECTS_SHARE * prob * far
    if outputs[2] is not None and teacher[2] is not None:
        own, said = (t.float().log_softmax(1) for t in (outputs[2], teacher[2]))
        kl = F.kl_div(own, said, reduction="none", log_target=True).sum(1, keepdim=True)
        loss = loss + LOSS_WEIGHTS["class"] * kl
    return (loss * where).sum(), where.sum()
