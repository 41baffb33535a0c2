"""Models that answer clicks, as rounds know them. Light: networks are imported late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from napari_histo.core import CancelToken, PromptSegmenter
from napari_histo.learning.click.params import CLICK_FAMILY
from napari_histo.learning.course.family import Family, Training
from napari_histo.learning.training import Example

if TYPE_CHECKING:
    from napari_histo.learning.click.evaluation import ClickScore

__all__ = ["CLICKS"]


def _load(name: str, device: str) -> PromptSegmenter:
    from napari_histo.models.registry import load_prompt_model

    return load_prompt_model(name, device=device)


def _training(_parent: str) -> Training:
    from napari_histo.learning.click.preflight import preflight
    from napari_histo.learning.click.training import train_click

    return train_click, preflight


def _evaluate(
    model: PromptSegmenter, examples: Sequence[Example], cancel: CancelToken
) -> Iterable[ClickScore]:
    from napari_histo.learning.click.evaluation import evaluate_clicks

    return evaluate_clicks(model, examples, cancel=cancel)


CLICKS = Family((CLICK_FAMILY,), _load, _training, _evaluate)
