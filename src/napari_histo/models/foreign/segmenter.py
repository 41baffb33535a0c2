"""Models of other programs that describe themselves, behind the segmenter's protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from napari_histo.core import ModelInfo, Segmenter
from napari_histo.errors import ModelError
from napari_histo.models._device import room
from napari_histo.models._proposing import ProposingSegmenter
from napari_histo.models.foreign.description import Description
from napari_histo.models.foreign.run import Run
from napari_histo.models.stardist.polygons import StarPolygons, pad_to
from napari_histo.ops.finite import finite

if TYPE_CHECKING:
    from typing import Self

    import torch

__all__ = ["ForeignNet", "ForeignSegmenter", "ForeignStars"]

#: Memory for a pixel on its way through a U-Net of the usual width.
_BYTES_A_PX = 1000
_LEAST_STD = 1e-6


@dataclass(frozen=True)
class ForeignNet:
    """A network with what its description says of its arrays.

    Attributes
    ----------
    words : Description
    run : callable
    device : str
    scaling : (mean, std) or None
        Of a region, for networks that want 0 and 1 there; of each image while None.
    """

    words: Description
    run: Run
    device: str
    scaling: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answers (b, k, gh, gw) of images (b, h, w, c), mirrored to sides that the net takes."""
        self._check_channels(images)
        padded = _at_least(pad_to(finite(images), self._divisor), self.words.least_px)
        answers = [self._one(image) for image in padded]
        rows, columns = (
            -(-n // g) for n, g in zip(images.shape[1:3], self.words.grid, strict=True)
        )
        return np.stack(answers)[:, :, :rows, :columns]

    def check(self) -> None:
        """Raise ModelError where the network does not take or give what is described."""
        side = max(self.words.least_px, *self._divisor)
        image = np.zeros((1, side, side, self.words.n_channels), np.float32)
        try:
            shape = self(image).shape
        except ModelError:
            raise
        except Exception as error:  # of ONNX Runtime, torch or numpy
            raise self._refused(f"it cannot be run: {str(error)[:300]}") from error
        wanted = tuple(side // g for g in self.words.grid)
        if shape[2:] != wanted or shape[1] < self.words.least_answers:
            raise self._refused(f"it answers {shape[1:]} to an image of {side} x {side} px")

    def fit(self, samples: NDArray[np.float32]) -> ForeignNet:
        """With mean and deviation of a region, where the network wants these."""
        if self.words.percentiles is not None or not len(samples):
            return self
        return replace(self, scaling=self._moments(finite(samples)))

    @property
    def _divisor(self) -> tuple[int, int]:
        return self.words.align_px, self.words.align_px

    def _one(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.words.percentiles is None:
            mean, std = self.scaling or self._moments(image.reshape(-1, image.shape[-1]))
            image = (image - mean) / std
        found = self.run(_arranged(image, self.words.axes))
        answer = _answer(found, self.words.answer_axes)
        return np.asarray(expit(answer), np.float32) if self.words.sigmoid else answer

    def _moments(
        self, samples: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        axis = 0 if self.words.each_channel else None
        std = samples.std(axis=axis) + np.float32(_LEAST_STD)
        return np.asarray(samples.mean(axis=axis)), np.asarray(std)

    def _check_channels(self, images: NDArray[np.float32]) -> None:
        if images.shape[3] != self.words.n_channels:
            raise ModelError(
                f"The model {self.words.info.name!r} wants {self.words.n_channels} channel(s), the "
                f"image has {images.shape[3]}. Choose another model, or the channels to use."
            )

    def _refused(self, why: str) -> ModelError:
        return ModelError(
            f"{self.words.weights} is not the network that its description is about: {why}. "
            "Download the model again, or tell whoever made it."
        )


class ForeignSegmenter(ProposingSegmenter):
    """What segmenters share that run a `ForeignNet`.

    Parameters
    ----------
    net : ForeignNet
    info : ModelInfo
    on_cpu : callable
        Gives the same model on the processor.
    """

    batch_size = 1

    def __init__(self, net: ForeignNet, info: ModelInfo, on_cpu: Callable[[], Segmenter]) -> None:
        super().__init__(info)
        self._net, self._on_cpu = net, on_cpu
        self.device, self.percentiles = net.device, net.words.percentiles

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._info.name} ({self._info.family}) on {self.device}>"

    @property
    def margin_px(self) -> int:
        """Context of a pixel."""
        return self._net.words.margin_px

    @property
    def align_px(self) -> int:
        """Where tiles may start."""
        return self._net.words.align_px

    def room(self, side_px: int) -> int:
        """See `Segmenter.room`."""
        return room(self.device, side_px**2 * _BYTES_A_PX)

    def adapt(self, samples: NDArray[np.float32]) -> Self:
        """See `Segmenter.adapt`: mean and deviation are those of the whole region."""
        return type(self)(self._net.fit(samples), self._info, self._on_cpu)

    def on_cpu(self) -> Segmenter:
        """See `Segmenter.on_cpu`."""
        return cast("Segmenter", self) if self.device == "cpu" else self._on_cpu()


class ForeignStars(ForeignSegmenter, StarPolygons):
    """StarDist in ONNX or TorchScript: probability, rays, and perhaps classes."""

    @property
    def grid(self) -> tuple[int, int]:
        """Pixels (y, x) of the image for one cell of the answer."""
        return self._net.words.grid

    @property
    def n_channels(self) -> int:
        """Of the images."""
        return self._net.words.n_channels

    @property
    def n_rays(self) -> int:
        """Of a polygon."""
        return self._net.words.n_rays

    @property
    def n_classes(self) -> int | None:
        """Beside the background; None where there is no such answer."""
        return self._net.words.n_classes

    def _forward(
        self, images: NDArray[np.float32]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        import torch

        answer = torch.from_numpy(np.ascontiguousarray(self._net(images)))
        last = 1 + self.n_rays
        classes = None if self.n_classes is None else answer[:, last:]
        return answer[:, 0], answer[:, 1:last], classes


# -- order of axes ---------------------------------------------------------------------------------


def _at_least(images: NDArray[np.float32], least_px: int) -> NDArray[np.float32]:
    below, beside = (max(0, least_px - n) for n in images.shape[1:3])
    if not below and not beside:
        return images
    return np.pad(images, ((0, 0), (0, below), (0, beside), (0, 0)), mode="reflect")


def _arranged(image: NDArray[np.float32], axes: str) -> NDArray[np.float32]:
    """An image (h, w, c) in the order of `axes`, a batch of one."""
    whole = image[None]
    if "c" not in axes:
        return np.ascontiguousarray(whole[..., 0].transpose(["byx".index(a) for a in axes]))
    return np.ascontiguousarray(whole.transpose(["byxc".index(a) for a in axes]))


def _answer(found: NDArray[np.float32], axes: str) -> NDArray[np.float32]:
    """(k, gh, gw) of an answer in the order of `axes`."""
    if "c" not in axes:
        found, axes = found[..., None], axes + "c"
    one = found.transpose([axes.index(a) for a in "bcyx"])
    return np.asarray(one[0])
