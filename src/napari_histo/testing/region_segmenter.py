"""The contract of `napari_histo.core.regions.RegionSegmenter`, as tests.

Examples
--------
>>> class TestMyRegions(RegionSegmenterConformance):  # doctest: +SKIP
...     def make(self, device="cpu"):
...         return MyRegions(device=device)
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histo.core.regions import RegionSegmenter
from napari_histo.errors import ModelError
from napari_histo.models import devices
from napari_histo.testing.segmenter import every_size, speckled

__all__ = ["RegionSegmenterConformance"]


class RegionSegmenterConformance:
    """Subclass, give `make`, and pytest does the rest."""

    n_channels: int = 3
    huge_px: int = 256
    #: Largest difference of probabilities between devices.
    device_tolerance: float = 1e-3

    def make(self, device: str = "cpu") -> RegionSegmenter:
        """A fresh segmenter, always the same."""
        raise NotImplementedError

    @pytest.fixture
    def model(self) -> RegionSegmenter:
        """On the processor."""
        return self.make("cpu")

    def pictures(self, n: int, size: tuple[int, int]) -> NDArray[np.float32]:
        """Images (n, h, w, c)."""
        return np.stack([speckled(*size, self.n_channels, i) for i in range(n)])

    def test_satisfies_the_protocol(self, model: RegionSegmenter) -> None:
        assert isinstance(model, RegionSegmenter)
        assert model.info.pixel_size_um
        assert model.margin_px >= 0
        assert model.align_px >= 1
        assert "0x" not in repr(model)

    @every_size
    def test_any_size_is_answered(self, model: RegionSegmenter, size: tuple[int, int]) -> None:
        answer = model.predict(self.pictures(2, size))
        assert answer.shape == (2, *size, len(model.info.classes) + 1)
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer.sum(axis=-1), 1, atol=1e-4)

    def test_a_huge_tile(self, model: RegionSegmenter) -> None:
        answer = model.predict(self.pictures(1, (self.huge_px, self.huge_px)))
        assert np.isfinite(answer).all()

    def test_other_channels_are_told(self, model: RegionSegmenter) -> None:
        with pytest.raises(ModelError, match="channel"):
            model.predict(np.zeros((1, 48, 48, self.n_channels + 2), np.float32))

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
    def test_what_is_no_number_counts_as_background(
        self, model: RegionSegmenter, value: float
    ) -> None:
        spoiled = self.pictures(1, (64, 64))
        clean = spoiled.copy()
        spoiled[:, 20:30, 20:30], clean[:, 20:30, 20:30] = value, 0
        np.testing.assert_array_equal(model.predict(spoiled), model.predict(clean))

    def test_the_same_again_alone_and_in_a_batch(self, model: RegionSegmenter) -> None:
        images = self.pictures(3, (61, 83))
        together = model.predict(images)
        np.testing.assert_array_equal(model.predict(images), together)
        np.testing.assert_array_equal(self.make("cpu").predict(images), together)
        alone = np.concatenate([model.predict(image[None]) for image in images])
        np.testing.assert_allclose(alone, together, atol=1e-4)

    def test_on_cpu_is_the_same_model(self, model: RegionSegmenter) -> None:
        images = self.pictures(1, (64, 64))
        there = model.on_cpu()
        assert there.info == model.info
        np.testing.assert_array_equal(there.predict(images), model.predict(images))

    @pytest.mark.gpu
    def test_processor_and_gpu_agree(self, model: RegionSegmenter) -> None:
        others = [name for name in devices() if name not in ("auto", "cpu")]
        if not others:
            pytest.skip("no CUDA or MPS device here")
        images = self.pictures(2, (64, 64))
        for device in others:
            there = self.make(device)
            for one in (there, there.on_cpu()):
                found = one.predict(images)
                np.testing.assert_allclose(found, model.predict(images), atol=self.device_tolerance)
