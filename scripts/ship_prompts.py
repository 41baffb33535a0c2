"""Put a trained click network into the package.

    python scripts/ship_prompts.py --run RUN

Its figures are then measured by ``measure_prompts.py``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from _cards import WEIGHTS
from _prompt_cards import make_card, write_card
from napari_histo.models.nuclick.net import CHANNELS, ClickNet
from napari_histo.models.nuclick.segmenter import save_click_net
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS


def ship(args: argparse.Namespace) -> None:
    folder = WEIGHTS / "click"
    folder.mkdir(exist_ok=True)
    saved = torch.load(args.run / args.checkpoint, map_location="cpu", weights_only=True)
    net = ClickNet()
    net.load_state_dict(saved["ema"])
    save_click_net(net, folder / SHIPPED_WEIGHTS)
    config = {"architecture": "nuclick", "channels": CHANNELS}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    minutes = round(saved["spent_s"] / 60)
    words = f"--data DIR --out RUN --minutes {minutes} {args.words}".strip()
    card = make_card(
        folder / SHIPPED_WEIGHTS,
        parameters=sum(p.numel() for p in net.parameters()),
        training={
            "command": f"python scripts/train_prompts.py {words}",
            "note": args.note,
            "steps": saved["step"],
            "batch": 16,
            "minutes": minutes,
        },
        metrics=[],
        measured_by="not measured yet: python scripts/measure_prompts.py",
    )
    write_card(folder, card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--checkpoint", default="last.pt")
    parser.add_argument("--words", default="", help="other words of the training command")
    parser.add_argument("--note", default="", help="what else the card should say of training")
    ship(parser.parse_args())
