"""One step of learning to answer gestures: maps, losses, corrective clicks, the parent's voice."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.learning.click.samples import ClickBatch
from napari_histo.learning.course.learner import (
    as_teacher,
    autocast,
    average_decay,
    descend,
    set_rate,
)
from napari_histo.learning.course.state import State
from napari_histo.models.nuclick.maps import draw_maps, encode
from napari_histo.models.nuclick.net import ClickNet
from napari_histo.ops.gestures import correction

__all__ = ["ClickLearner", "loss_terms", "mend", "seen"]

_MOST_GRADIENT = 2.0
#: Share of the batches in which the network's first answer was corrected by clicks.
_MENDED = 0.25
#: Objects smaller than this weigh no more a pixel than one of this size, px.
_LEAST_PX = 200


def loss_terms(logits: Tensor, truth: Tensor, known: Tensor) -> dict[str, Tensor]:
    """Binary cross entropy and 1 - soft Dice, an object's mean each, where it is known."""
    logits = logits.float()
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * known
    prob, truth = logits.sigmoid() * known, truth * known
    both, sizes = (prob * truth).sum((1, 2, 3)), (prob + truth).sum((1, 2, 3))
    return {
        "bce": (bce.sum((1, 2, 3)) / truth.sum((1, 2, 3)).clamp(min=_LEAST_PX)).mean(),
        "dice": (1 - (2 * both + 10) / (sizes + 10)).mean(),
    }


def seen(image: Tensor, maps: Tensor) -> Tensor:
    """The network's input (b, 6, s, s) of images and drawn maps (b, 3, s, s)."""
    shown = torch.from_numpy(np.stack([encode(m) for m in maps.numpy()]))
    return torch.cat([image, shown], dim=1).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def mend(
    net: ClickNet,
    image: Tensor,
    maps: Tensor,
    truth: Tensor,
    known: Tensor,
    n_clicks: int,
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Draw corrective clicks into the maps, where the network errs now; in place."""
    device = next(net.parameters()).device
    rng = np.random.default_rng(int(truth.sum()))
    for _ in range(n_clicks):
        with autocast(device.type, dtype):
            found = (net(seen(image, maps).to(device)) > 0).cpu().numpy()
        for i in range(len(image)):
            inside = known[i, 0].numpy() > 0
            right = truth[i, 0].numpy() > 0
            point = correction(right & inside, found[i, 0] & inside, rng)
            if point is not None:
                maps[i] |= torch.from_numpy(draw_maps([point], maps.shape[-1]))


class ClickLearner:
    """Takes steps.

    Parameters
    ----------
    state : State of ClickNet
    teacher : ClickNet
        Whose answers are held on to where nobody labelled anything, and on replayed objects.
    device, precision : str
        Real ones.
    distillation : float
        Weight of the teacher's answers.
    steps : int
        Of the whole training; the average of the weights reaches over a twentieth of them.
    """

    def __init__(
        self,
        state: State[ClickNet],
        teacher: ClickNet,
        *,
        device: str,
        precision: str,
        distillation: float,
        steps: int,
    ) -> None:
        self.state, self._device, self._weight = state, device, distillation
        self._dtype = getattr(torch, precision)
        self._decay = average_decay(steps)
        self._teacher = as_teacher(teacher, device)

    def learn(self, batch: ClickBatch, rate: float, rng: np.random.Generator) -> None:
        """One step.

        Raises
        ------
        ModelError
            The loss is no number any more.
        """
        state = self.state
        state.net.train()
        set_rate(state, rate)
        if rng.random() < _MENDED:
            n = int(rng.integers(1, 3))
            mend(state.ema, batch.image, batch.maps, batch.truth, batch.known, n, self._dtype)
        state.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        descend(
            state, float(loss.detach()), rate=rate, decay=self._decay, most_gradient=_MOST_GRADIENT
        )

    def _loss(self, batch: ClickBatch) -> Tensor:
        x = seen(batch.image, batch.maps).to(self._device)
        truth, known = batch.truth.to(self._device), batch.known.to(self._device)
        with autocast(self._device, self._dtype):
            logits = self.state.net(x)
        loss = torch.stack(list(loss_terms(logits, truth, known).values())).sum()
        heard = torch.maximum(1 - known, batch.replayed.to(self._device)[:, None, None, None])
        if not self._weight or not bool(heard.any()):
            return loss
        with torch.no_grad(), autocast(self._device, self._dtype):
            told = self._teacher(x).float().sigmoid()
        far = F.binary_cross_entropy_with_logits(logits.float(), told, reduction="none") * heard
        sizes = told.sum((1, 2, 3)).clamp(min=_LEAST_PX)
        held: Tensor = loss + self._weight * (far.sum((1, 2, 3)) / sizes).mean()
        return held
