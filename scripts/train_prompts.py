"""Train the click network that ships with the package.

    python scripts/train_prompts.py --data DIR --out RUN --minutes 90

``DIR`` holds ``splits.csv``, ``tnbc/`` and ``dsb2018/``. The trunk starts from our he-nuclei. The
run folder gets ``metrics.jsonl``, ``last.pt`` (everything that ``--resume`` needs) and ``best.pt``.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader

from _cards import WEIGHTS
from _loop import Schedule, State, log
from _prompt_data import PERCENTILES, Batches, Source, read_sources, real_glands, synthetic_glands
from napari_histo.core import PointPrompt
from napari_histo.learning.click.learner import loss_terms, mend, seen
from napari_histo.learning.course.state import update_ema
from napari_histo.models.nuclick.maps import draw_maps, encode
from napari_histo.models.nuclick.net import ClickNet
from napari_histo.models.stardist.files import load_shipped
from napari_histo.models.stardist.net import fold_batch_norm
from train_stardist import _HE_SCALE

_PATCH = 128


def warm_start(net: ClickNet) -> None:
    """Copy he-nuclei's weights; what was drawn starts without influence."""
    known = fold_batch_norm(load_shipped(WEIGHTS / "he-nuclei")[0]).state_dict()
    names = {"stem.0.": "conv2d.", "stem.1.": "conv2d_1.", "middle.0.": "middle_0."}
    names |= {"middle.1.": "middle_2."}
    for level in range(3):
        for i in range(2):
            names[f"down.{level}.{i}."] = f"down_level_{level}_no_{i}."
            names[f"up.{level}.{i}."] = f"up_level_{level}_no_{2 * i}."
    own = net.state_dict()
    for ours, theirs in names.items():
        for key in [k for k in own if k.startswith(ours)]:
            value = known[f"layers.{theirs}{key.removeprefix(ours)}"]
            own[key].zero_()
            own[key][:, : value.shape[1]].copy_(value) if value.ndim == 4 else own[key].copy_(value)


def start(device: torch.device, *, warm: bool) -> State[ClickNet]:
    net = ClickNet()
    if warm:
        warm_start(net)
    net = net.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.02)
    return State(net=net, ema=copy.deepcopy(net).requires_grad_(False), optimiser=optimiser)


def train_steps(
    state: State[ClickNet],
    batches: Iterator[list[Tensor]],
    schedule: Schedule,
    device: torch.device,
) -> Iterator[dict[str, float]]:
    rng = np.random.default_rng(state.step)
    state.net.train()
    while state.spent_s < schedule.minutes * 60:
        begin = time.monotonic()
        image, maps, truth, known = next(batches)
        if rng.random() < 0.25:
            mend(state.ema, image, maps, truth, known, int(rng.integers(1, 3)))
        x, truth, known = (t.to(device) for t in (seen(image, maps), truth, known))
        rate = schedule.rate(state.spent_s / 60)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16):
            logits = state.net(x)
        terms = loss_terms(logits, truth, known)
        loss = torch.stack(list(terms.values())).sum()
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(state.net.parameters(), 2.0)
        state.optimiser.step()
        state.step += 1
        update_ema(state.ema, state.net, state.step)
        state.spent_s += time.monotonic() - begin
        yield {"lr": rate} | {k: float(v.detach()) for k, v in terms.items()}


def centroid_click_patches(sources: list[Source]) -> tuple[Tensor, Tensor]:
    """x (n, 6, 128, 128) and truth (n, 128, 128) for a click at each object's centroid.

    The truth is 1 in the object, 0 elsewhere in the image and -1 beyond it.
    """
    xs, truths = [], []
    half = _PATCH // 2
    for source in sources:
        image, labels = source.image.image, source.image.labels
        padded = F.pad(image[None], (half,) * 4, mode="reflect")[0].expand(3, -1, -1)
        wide = np.pad(labels, half, constant_values=-1)
        for i, where in source.boxes.items():
            ys, xs_ = np.nonzero(labels[where] == i)
            near = np.argmin((ys - ys.mean()) ** 2 + (xs_ - xs_.mean()) ** 2)
            y, x = ys[near] + where[0].start, xs_[near] + where[1].start
            patch = padded[:, y : y + _PATCH, x : x + _PATCH]
            low, high = np.percentile(patch.numpy(), PERCENTILES)
            maps = draw_maps([PointPrompt(half + 0.5, half + 0.5)], _PATCH)
            patch = (patch - float(low)) / max(float(high - low), 1e-3)
            xs.append(torch.cat([patch, torch.from_numpy(encode(maps))]))
            seen = wide[y : y + _PATCH, x : x + _PATCH]
            truths.append(torch.from_numpy(np.where(seen < 0, -1, seen == i).astype(np.int8)))
    return torch.stack(xs), torch.stack(truths)


@torch.no_grad()
def validate(net: ClickNet, x: Tensor, truth: Tensor) -> dict[str, float]:
    """Mean Dice, and the share with an IoU below one half, of the part under the click."""
    net.eval()
    device = next(net.parameters()).device
    dice, failed = [], []
    for part, masks in zip(x.split(32), truth.split(32), strict=True):
        with torch.autocast(device.type, torch.bfloat16):
            part = part.to(device, memory_format=torch.channels_last)
            found = (net(part) > 0)[:, 0].cpu().numpy()
        for mask, right in zip(found, masks.numpy(), strict=True):
            regions, _ = ndimage.label(mask)
            at = regions[_PATCH // 2, _PATCH // 2]
            own = ndimage.binary_fill_holes(regions == at) if at else np.zeros_like(mask)
            own &= right >= 0
            both, either = (own & (right > 0)).sum(), (own | (right > 0)).sum()
            dice.append(2 * both / max(both + either, 1))
            failed.append(both / max(either, 1) < 0.5)
    return {"dice": float(np.mean(dice)), "failures": float(np.mean(failed))}


def run(args: argparse.Namespace) -> None:
    device = torch.device(args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    state, last = start(device, warm=not args.cold), args.out / "last.pt"
    if args.resume and last.exists():
        state.load(last)
    train = read_sources(args.data, "train", _HE_SCALE) + synthetic_glands(args.drawn, seed=1)
    if args.glands:
        train += real_glands(args.glands, validation=False)
    val = read_sources(args.data, "val", _HE_SCALE)
    stains = {s.image.stain for s in val}
    checks = {k: centroid_click_patches([s for s in val if s.image.stain == k]) for k in stains}
    print(f"{len(train)} images to learn from; to check: ", end="")
    print({k: len(x) for k, (x, _) in checks.items()}, flush=True)
    data = Batches(train, batch=args.batch, seed=1 + state.step)
    stream = iter(DataLoader(data, batch_size=None, num_workers=args.workers, prefetch_factor=6))
    schedule = Schedule(minutes=args.minutes, peak=args.rate)
    checked, losses = state.spent_s, []
    for terms in train_steps(state, stream, schedule, device):
        losses.append(terms)
        if state.step % 100 == 0:
            mean = {k: round(float(np.mean([t[k] for t in losses])), 5) for k in terms}
            record = {"step": state.step, "spent_s": round(state.spent_s)} | mean
            log(args.out / "metrics.jsonl", record)
            losses = []
        if state.spent_s - checked > args.every * 60:
            checked = state.spent_s
            check(state, checks, args.out)
    check(state, checks, args.out)


def check(state: State[ClickNet], checks: dict[str, tuple[Tensor, Tensor]], out: Path) -> None:
    """Validate the averaged weights, and write the checkpoints."""
    figures = {k: validate(state.ema, *patches) for k, patches in checks.items()}
    flat = {f"{k} {name}": round(v, 4) for k, f in figures.items() for name, v in f.items()}
    log(out / "metrics.jsonl", {"step": state.step, "spent_s": round(state.spent_s)} | flat)
    state.net.train()
    main = figures["H&E"]["dice"] - 0.5 * figures["H&E"]["failures"]
    score = main + 0.2 * float(np.mean([f["dice"] for f in figures.values()]))
    if score > state.best:
        state.best = score
        state.save(out / "best.pt")
    state.save(out / "last.pt")


def parse() -> argparse.Namespace:
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--glands", type=Path, help="folder of NAME.png and NAME_labels.png")
    parser.add_argument("--drawn", type=int, default=240, help="images of synthetic glands")
    parser.add_argument("--minutes", type=float, default=90, help="of training, checks not counted")
    parser.add_argument("--every", type=float, default=5, help="minutes between checks")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare patches")
    parser.add_argument("--device", default=auto)
    parser.add_argument("--cold", action="store_true", help="start from random weights")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/last.pt")
    return parser.parse_args()


if __name__ == "__main__":
    run(parse())
