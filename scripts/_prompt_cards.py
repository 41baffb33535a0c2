"""The click model's card: ``card.json`` for programs, ``CARD.md``, made from it, for people."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _cards import DSB_FLUO, DSB_PURPLE, TNBC

FACTS: dict[str, Any] = {
    "name": "click",
    "family": "nuclick",
    "title": "One object where a person points: nuclei by a click, larger structures by a squiggle",
    "pixel_size_um": 0.25,
    "pixel_size_nominal": True,
    "channels": "any",
    "licence": "CC-BY-4.0",
    "classes": ["Nucleus"],
    "source": "trained by this project: scripts/train_prompts.py",
    "description": "Answers clicks, boxes and squiggles with an outline. Learnt from nuclei in H&E "
    "(TNBC, CC-BY-4.0), other stains and fluorescence (Data Science Bowl 2018, CC0-1.0), and from "
    "glands, drawn ones and colon (EBHI-Seg, CC-BY-4.0).",
    "data": [
        TNBC,
        DSB_PURPLE,
        DSB_FLUO,
        {
            "name": "Synthetic H&E glands",
            "source": "this project's generator, napari_histo.testing.synthetic",
            "licence": "BSD-3-Clause",
        },
        {
            "name": "EBHI-Seg, colon polyps: 39 images of crypts, drawn by hand",
            "source": "Shi et al., Frontiers in Medicine 2023, doi 10.3389/fmed.2023.1114673",
            "licence": "CC-BY-4.0",
        },
    ],
    "validation": "TNBC patients 02 and 10, and fields of the Data Science Bowl 2018, none of "
    "which was learnt from",
    "limits": [
        "Nuclei: learnt from breast (TNBC), a few fields of other purple-stained tissue, and "
        "fluorescence of cultured cells. Check it on your organ, scanner and stain.",
        "Glands were learnt from synthetic images and from a few colon biopsies: expect to mend "
        "those of other organs.",
        "Where two nuclei touch, one click may take both: exclude the other with a second click.",
        "Not a medical device.",
    ],
}


def make_card(
    weights: Path,
    *,
    parameters: int,
    training: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    measured_by: str,
) -> dict[str, Any]:
    """The words of ``card.json``."""
    return FACTS | {
        "parameters": parameters,
        "training": dict(training),
        "measured_by": measured_by,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "metrics": list(metrics),
    }


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    text = json.dumps(card, indent=2, ensure_ascii=False)
    (folder / "card.json").write_text(text + "\n", encoding="utf-8")
    (folder / "CARD.md").write_text(as_markdown(card), encoding="utf-8")


def as_markdown(card: Mapping[str, Any]) -> str:
    training = card["training"]
    lines = [
        f"# {card['name']}: {card['title']}",
        "",
        "A U-Net on RGB, inclusion, exclusion and box maps "
        f"({card['parameters'] / 1e6:.2f} million parameters), patches of 128 px at "
        f"{card['pixel_size_um']} µm/px or coarser. "
        f"Weights: {card['licence']}, {card['date']}, SHA-256 `{card['sha256'][:16]}…`.",
        "",
        "## Learnt from",
        "",
        *(f"- {d['name']}. {d['source']}. {d['licence']}." for d in card["data"]),
        "",
        f"`{training['command']}`",
        "",
        f"{training['steps']} steps of {training['batch']} patches, {training['minutes']} minutes "
        f"on one core of a busy CPU, in bfloat16. {training['note']}".strip(),
        "",
        "## Measured",
        "",
        f"Validation: {card['validation']}. Dice and IoU are means over objects; a failure is an "
        "IoU below 0.5; AJI and PQ are of all answers drawn together, likelier ones on top.",
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
        lines += [f"### {data}", "", "| gesture | objects | Dice | IoU | failures | AJI | PQ |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += [_row(r) for r in own] + [""]
    return lines


def _row(r: Mapping[str, Any]) -> str:
    return (
        f"| {r['gesture']} | {r['n']} | {r['dice']:.3f} | {r['iou']:.3f} "
        f"| {100 * r['failures']:.1f} % | {_or_dash(r['aji'])} | {_or_dash(r['pq'])} |"
    )


def _or_dash(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
