"""The contract of `napari_histo.core.PromptSegmenter`, as tests.

Examples
--------
>>> class TestMyClicks(PromptSegmenterConformance):  # doctest: +SKIP
...     def make(self, device="cpu"):
...         return MyClicks(device=device)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histo.core import (
    BoxPrompt,
    Contours,
    PointPrompt,
    Prompt,
    PromptAnswer,
    PromptPatch,
    PromptSegmenter,
    ScribblePrompt,
)
from napari_histo.errors import ModelError
from napari_histo.models import devices

__all__ = ["GESTURES", "PromptSegmenterConformance"]

_LINE = np.array([(0.4, 0.5), (0.6, 0.5)], np.float32)
#: Gestures on a patch of side 1, by name.
GESTURES: dict[str, Sequence[Prompt]] = {
    "none": (),
    "click": (PointPrompt(0.5, 0.5),),
    "not here": (PointPrompt(0.5, 0.5, positive=False),),
    "box": (BoxPrompt(0.4, 0.4, 0.6, 0.6),),
    "squiggle": (ScribblePrompt(_LINE),),
    "click and not there": (PointPrompt(0.5, 0.5), PointPrompt(0.6, 0.5, positive=False)),
    "beyond the patch": (PointPrompt(-3.0, 9.0),),
    "box around all": (BoxPrompt(-1, -1, 2, 2),),
}


class PromptSegmenterConformance:
    """Subclass, give `make`, and pytest does the rest."""

    #: Largest difference of scores between devices.
    device_tolerance: float = 0.01

    def make(self, device: str = "cpu") -> PromptSegmenter:
        """A fresh segmenter, always the same, that finds a dark disc under a click."""
        raise NotImplementedError

    @pytest.fixture
    def model(self) -> PromptSegmenter:
        """On the processor."""
        return self.make("cpu")

    def patch(
        self, model: PromptSegmenter, gesture: str = "click", pixels: NDArray[Any] | None = None
    ) -> PromptPatch:
        """A disc in the middle of a patch, and a gesture."""
        side = model.patch_px
        prompts = [_scaled(p, side) for p in GESTURES[gesture]]
        image = _disc(side) if pixels is None else pixels
        return PromptPatch(image, prompts, Contours.empty())

    def test_its_figures_make_patches_possible(self, model: PromptSegmenter) -> None:
        assert 0 < model.object_px <= model.patch_px
        assert all((model.info.name, model.info.licence))
        assert "0x" not in repr(model)

    def test_it_finds_the_disc(self, model: PromptSegmenter) -> None:
        answer = model.answer([self.patch(model)])[0]
        truth = np.pi * (model.patch_px / 10) ** 2
        assert 0.6 * truth < float(answer.contours.areas_px[0]) < 1.6 * truth

    def test_nobody_asked(self, model: PromptSegmenter) -> None:
        assert model.answer([]) == []

    @pytest.mark.parametrize("gesture", GESTURES)
    def test_any_gesture_is_answered(self, model: PromptSegmenter, gesture: str) -> None:
        _check(model, model.answer([self.patch(model, gesture)])[0])

    @pytest.mark.parametrize("value", [0, 128, 255])
    def test_a_blank_patch_is_answered(self, model: PromptSegmenter, value: int) -> None:
        blank = np.full((model.patch_px, model.patch_px, 3), value, np.uint8)
        _check(model, model.answer([self.patch(model, pixels=blank)])[0])

    @pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
    @pytest.mark.parametrize("where", ["patch", "everywhere"])
    def test_what_is_no_number_is_borne(
        self, model: PromptSegmenter, value: float, where: str
    ) -> None:
        pixels = _disc(model.patch_px).astype(np.float32)
        pixels[:] = pixels if where == "patch" else value
        pixels[:20, :20] = value
        _check(model, model.answer([self.patch(model, pixels=pixels)])[0])

    def test_one_channel_will_do(self, model: PromptSegmenter) -> None:
        gray = _disc(model.patch_px)[..., :1]
        _check(model, model.answer([self.patch(model, pixels=gray)])[0])

    def test_other_channels_are_told(self, model: PromptSegmenter) -> None:
        five = np.zeros((model.patch_px, model.patch_px, 5), np.uint8)
        with pytest.raises(ModelError, match="channel"):
            model.answer([self.patch(model, pixels=five)])

    @pytest.mark.parametrize("side", [0, 1, 77])
    def test_patches_of_another_side_are_told(self, model: PromptSegmenter, side: int) -> None:
        pixels = np.zeros((side, side, 3), np.uint8)
        with pytest.raises(ModelError, match=f"{model.patch_px}"):
            model.answer([self.patch(model, pixels=pixels)])

    def test_the_same_again_alone_and_in_a_crowd(self, model: PromptSegmenter) -> None:
        patches = [self.patch(model, gesture) for gesture in GESTURES]
        together = model.answer(patches)
        _assert_same(model.answer(patches), together)
        _assert_same(self.make("cpu").answer(patches), together)
        alone = [model.answer([patch])[0] for patch in patches]
        _assert_same(alone, together, tolerance=0.02)

    @pytest.mark.gpu
    def test_processor_and_gpu_agree(self, model: PromptSegmenter) -> None:
        others = [name for name in devices() if name not in ("auto", "cpu")]
        if not others:
            pytest.skip("no CUDA or MPS device here")
        expected = model.answer([self.patch(model)])[0]
        for device in others:
            found = self.make(device).answer([self.patch(model)])[0]
            assert abs(found.score - expected.score) < self.device_tolerance


def _scaled(prompt: Prompt, side: int) -> Prompt:
    """A gesture of a patch of side 1 on one of this side."""
    if isinstance(prompt, PointPrompt):
        return PointPrompt(prompt.x * side, prompt.y * side, positive=prompt.positive)
    if isinstance(prompt, BoxPrompt):
        left, top, right, bottom = (
            v * side for v in (prompt.left, prompt.top, prompt.right, prompt.bottom)
        )
        return BoxPrompt(left, top, right, bottom, positive=prompt.positive)
    return ScribblePrompt(prompt.xy * np.float32(side), positive=prompt.positive)


def _disc(side: int) -> NDArray[np.uint8]:
    """Haematoxylin's colour in the middle of eosin's: (side, side, 3)."""
    rows, columns = np.mgrid[:side, :side] + 0.5 - side / 2
    inside = rows**2 + columns**2 < (side / 10) ** 2
    noise = np.random.default_rng(0).normal(0, 4, (side, side, 3))
    colours = np.where(inside[..., None], (90, 60, 140), (225, 180, 210))
    return np.clip(colours + noise, 0, 255).astype(np.uint8)


def _check(model: PromptSegmenter, answer: PromptAnswer) -> None:
    """One row within the patch, a score from 0 to 1."""
    assert len(answer.contours) == 1
    assert 0 <= answer.score <= 1
    xy = answer.contours.xy
    assert np.isfinite(xy).all()
    assert ((xy >= 0) & (xy <= model.patch_px)).all()


def _assert_same(
    a: Sequence[PromptAnswer], b: Sequence[PromptAnswer], *, tolerance: float = 0.0
) -> None:
    for one, other in zip(a, b, strict=True):
        assert abs(one.score - other.score) <= tolerance
        assert one.is_empty == other.is_empty
        if not one.is_empty:
            np.testing.assert_allclose(
                one.contours.bounds, other.contours.bounds, atol=50 * tolerance
            )
