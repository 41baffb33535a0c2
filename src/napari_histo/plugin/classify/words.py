"""What the Classify panel says."""

from __future__ import annotations

import numpy as np

from napari_histo.core import Progress
from napari_histo.ops.positivity import level_names
from napari_histo.ops.positivity_scores import Score
from napari_histo.session import AnnotationState
from napari_histo.session.classify.state import ClassifyState, Way
from napari_histo.session.classify.work import FEWEST_TO_PROVE

__all__ = [
    "apply_text",
    "examples_text",
    "found_text",
    "hint",
    "quality_text",
    "quality_tip",
    "score_cells",
    "threshold_names",
]


def hint(state: AnnotationState, known: ClassifyState) -> str:
    """What the next gesture does."""
    if known.giving is not None:
        return _share(known.giving, "Giving the classes")
    if known.measuring is not None:
        return _share(known.measuring, "Measuring the objects")
    if known.way is Way.THRESHOLD:
        return "Move the threshold until the colours are right; then apply."
    if state.review is not None:
        return "1-9 gives a class, A accepts the one that is shown, N goes on."
    if len(known.examples) < 2:
        return "Choose a class (1-9) and click some nuclei of it; then those of another."
    return "Click where the colour is wrong. Alt- or right-click takes an example back."


def _share(step: Progress, words: str) -> str:
    """How far something is."""
    share = f" {step.fraction:.0%}" if step.total > 1 else ""
    return f"{step.message or words}…{share}"


def apply_text(known: ClassifyState) -> str:
    """What the button does: it stops what it began."""
    if known.giving is not None:
        return "Stop"
    return f"Apply to {known.n_pending:,}" if known.n_pending else "Apply"


def examples_text(known: ClassifyState) -> str:
    """How many examples there are."""
    parts = [f"{name} {n:,}" for name, n in known.examples.items()]
    if known.loaded is not None:
        parts = [f"those of {known.loaded.name}", *parts]
    return " · ".join(parts) or "no examples yet"


def quality_text(known: ClassifyState) -> str:
    """How good the classes are."""
    quality = known.quality
    if known.learning:
        return "learning…"
    if quality is not None and quality.get("accuracy") is not None:
        right = f"{quality['accuracy']:.0%} of {quality['n']:,} right"
        return f"{right} · F1 {quality['macro_f1']:.2f}"
    if not known.has_classifier:
        return "two classes with examples are needed"
    return f"told from {FEWEST_TO_PROVE} examples of each class on"


def quality_tip(known: ClassifyState) -> str:
    """Where the figure comes from, and what to make of it."""
    quality = known.quality
    if quality is None or quality.get("accuracy") is None:
        return "Cross-validated: each example is judged by a classifier that did not see it."
    lines = [f"{name}: F1 {value:.2f}" for name, value in quality.get("f1", {}).items()]
    left = quality.get("left_out", "examples")
    return "\n".join(
        [
            f"Cross-validated on {quality.get('n', 0):,} examples, leaving {left} out in turn.",
            *lines,
            "Within one image this flatters: objects of one image are alike.",
        ]
    )


def found_text(known: ClassifyState) -> str:
    """How many objects are shown in each class."""
    total = sum(known.found.values())
    text = f"<b>{total:,}</b> objects"
    shown = [f"{name or 'no class'}\N{NO-BREAK SPACE}{n:,}" for name, n in known.found.items() if n]
    return text + "".join(f" · {part}" for part in shown)


def threshold_names(n: int) -> tuple[str, ...]:
    """What each of `n` thresholds begins."""
    return level_names(n)[1:]


def score_cells(score: Score, kinds: bool) -> tuple[str, ...]:
    """A row of the table: place, objects, positive ones in percent, H-score."""
    place = score.region if not kinds or score.kind == "All" else f"{score.region}: {score.kind}"
    percent = "–" if np.isnan(score.percent) else f"{score.percent:.1f}"
    h_score = "–" if np.isnan(score.h_score) else f"{score.h_score:.0f}"
    return place, f"{score.n_objects:,}", percent, h_score
