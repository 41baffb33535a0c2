"""Steps and validation of a StarDist network that ships with the package."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from stardist.geometry import polygons_to_label
from stardist.matching import matching
from stardist.nms import non_maximum_suppression
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from _images import LabelledImage, normalise
from _loop import Schedule, State
from napari_histo.learning.course.state import update_ema
from napari_histo.learning.stardist.targets import LOSS_WEIGHTS, Batch, loss_terms
from napari_histo.models.stardist.config import StarDistConfig
from napari_histo.models.stardist.net import StarDistNet


def train_steps(
    state: State[StarDistNet],
    batches: Iterator[Batch],
    schedule: Schedule,
    device: torch.device,
) -> Iterator[dict[str, float]]:
    """One optimiser step at a time; yields its losses."""
    state.net.train()
    while state.spent_s < schedule.minutes * 60:
        start = time.monotonic()
        batch = next(batches).to(device.type)
        rate = schedule.rate(state.spent_s / 60)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16):
            outputs = state.net(batch.image)
        terms = loss_terms(outputs, batch)
        loss = torch.stack([LOSS_WEIGHTS[k] * v for k, v in terms.items()]).sum()
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(state.net.parameters(), 5.0)
        state.optimiser.step()
        state.step += 1
        update_ema(state.ema, state.net, state.step)
        state.spent_s += time.monotonic() - start
        yield {"lr": rate, "loss": float(loss.detach())} | {
            k: float(v.detach()) for k, v in terms.items()
        }


@torch.no_grad()
def predict(
    net: StarDistNet, image: Tensor, device: torch.device
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """prob ``(h, w)``, dist ``(h, w, rays)`` on the grid, of a normalised ``(c, h, w)`` image."""
    h, w = image.shape[1:]
    dy, dx = net.config.divisor
    padded = F.pad(image[None], (0, -w % dx, 0, -h % dy), mode="reflect").to(device)
    with torch.autocast(device.type, torch.bfloat16):
        prob, dist, _ = net(padded.contiguous(memory_format=torch.channels_last))
    gy, gx = net.config.grid
    keep = np.s_[: -(-h // gy), : -(-w // gx)]
    rays = dist[0].float().clamp(min=1e-3).permute(1, 2, 0)
    return prob[0, 0].float().sigmoid().cpu().numpy()[keep], rays.cpu().numpy()[keep]


def outline(
    prob: NDArray[np.float32],
    dist: NDArray[np.float32],
    config: StarDistConfig,
    shape: tuple[int, ...],
    thresholds: tuple[float, float],
) -> NDArray[np.int32]:
    """Label image by stardist's non-maximum suppression; thresholds of probability and overlap."""
    prob_thresh, nms_thresh = thresholds
    points, scores, rays = non_maximum_suppression(
        dist, prob, grid=config.grid, prob_thresh=prob_thresh, nms_thresh=nms_thresh
    )
    return np.asarray(polygons_to_label(rays, points, shape, prob=scores), np.int32)


@dataclass(frozen=True)
class Score:
    """Counts pooled over images; ``iou`` is the sum over matches."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou: float = 0.0

    @classmethod
    def of(cls, truth: NDArray[np.int32], found: NDArray[np.int32]) -> Score:
        m = matching(truth, found, thresh=0.5)
        return cls(int(m.tp), int(m.fp), int(m.fn), float(m.mean_true_score * m.n_true))

    def __add__(self, other: Score) -> Score:
        return Score(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.iou + other.iou
        )

    def figures(self) -> dict[str, float]:
        half = max(self.tp + (self.fp + self.fn) / 2, 1e-9)
        return {
            "f1": self.tp / half,
            "pq": self.iou / half,
            "precision": self.tp / max(self.tp + self.fp, 1),
            "recall": self.tp / max(self.tp + self.fn, 1),
            "sq": self.iou / max(self.tp, 1),
        }


def validate(
    net: StarDistNet,
    images: Sequence[LabelledImage],
    device: torch.device,
    *,
    percentiles: tuple[float, float],
    pairs: Sequence[tuple[float, float]] = ((0.4, 0.25), (0.5, 0.25), (0.6, 0.25)),
) -> dict[tuple[float, float], list[Score]]:
    """Score of every image at every pair of thresholds."""
    net.eval()
    scores: dict[tuple[float, float], list[Score]] = {pair: [] for pair in pairs}
    for source in images:
        flat = source.image.reshape(len(source.image), -1)
        prob, dist = predict(net, normalise(source.image, flat, percentiles)[0], device)
        for pair in pairs:
            found = outline(prob, dist, net.config, source.labels.shape, pair)
            scores[pair].append(Score.of(source.labels, found))
    return scores


def best_thresholds(
    scores: dict[tuple[float, float], list[Score]],
) -> tuple[tuple[float, float], dict[str, float]]:
    """The pair with the best F1 + PQ of the pooled counts, and its figures."""
    pooled = {k: sum(v, Score()).figures() for k, v in scores.items()}
    best = max(pooled, key=lambda k: pooled[k]["f1"] + pooled[k]["pq"])
    return best, pooled[best]
