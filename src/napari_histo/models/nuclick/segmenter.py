"""NuClick-style prompts: the torch network as a `PromptSegmenter`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from napari_histo.core import Contours, ModelInfo, PromptAnswer, PromptPatch
from napari_histo.errors import ModelError
from napari_histo.models._device import pick_device, pick_precision
from napari_histo.models._reasons import reason_of
from napari_histo.models.nuclick.maps import BOX, EXCLUDE, INCLUDE, draw_areas, draw_maps, encode
from napari_histo.ops.normalize import Normalizer

if TYPE_CHECKING:
    from torch import Tensor

    from napari_histo.models.nuclick.net import ClickNet

__all__ = ["PERCENTILES", "NuClickSegmenter", "load_click_net", "save_click_net"]

_PATCH_PX = 128
#: Objects were this long at most in most of the training patches.
_OBJECT_PX = 72
_BATCH = 16
PERCENTILES = (1.0, 99.8)
_NEVER = np.float32(-8)  # a logit: surely not this object


class NuClickSegmenter:
    """One object a patch, in the manner of NuClick (Alemi Koohbanani et al., 2020).

    Parameters
    ----------
    net : ClickNet
        With weights; a copy of it is used.
    info : ModelInfo
    device : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "float32", "bfloat16"}
    """

    def __init__(
        self,
        net: ClickNet,
        info: ModelInfo,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        import torch

        self.device = pick_device(device)
        self.precision = pick_precision(precision, self.device)
        self._info = info
        self._dtype = getattr(torch, self.precision)
        self._net = copy.deepcopy(net).eval().to(self.device, self._dtype)
        self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Elsewhere a trace would first be compiled for seconds, and nobody waits for the lock.
        on_cpu = self.device == "cpu"
        self._run = _as_one_call(self._net, self._example()) if on_cpu else self._net

    def __repr__(self) -> str:
        return f"<NuClickSegmenter {self._info.name} on {self.device}, {self.precision}>"

    @property
    def info(self) -> ModelInfo:
        """The model's card."""
        return self._info

    @property
    def patch_px(self) -> int:
        """Side of a patch."""
        return _PATCH_PX

    @property
    def object_px(self) -> int:
        """Longest object that fits well into a patch."""
        return _OBJECT_PX

    def answer(self, patches: Sequence[PromptPatch]) -> list[PromptAnswer]:
        """See `PromptSegmenter.answer`."""
        for patch in patches:
            self._check(patch)
        answers: list[PromptAnswer] = []
        for start in range(0, len(patches), _BATCH):
            some = patches[start : start + _BATCH]
            maps = [_maps(patch) for patch in some]
            logits = self._forward(
                np.stack([_input(p, m) for p, m in zip(some, maps, strict=True)])
            )
            answers += [_outline(one, m) for one, m in zip(logits, maps, strict=True)]
        return answers

    def _check(self, patch: PromptPatch) -> None:
        *sides, channels = patch.pixels.shape
        if sides != [_PATCH_PX, _PATCH_PX] or channels not in (1, 3):
            raise ModelError(
                f"The model {self._info.name!r} wants patches of {_PATCH_PX} x {_PATCH_PX} px with "
                f"1 or 3 channels; this one is {sides[1]} x {sides[0]} px with {channels}. Cut it "
                "out by PromptEngine, and choose the channels to use."
            )

    def _example(self) -> Tensor:
        import torch

        x = torch.zeros(1, 6, _PATCH_PX, _PATCH_PX, dtype=self._dtype, device=self.device)
        return x.contiguous(memory_format=torch.channels_last)

    def _forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (b, side, side) of inputs (b, side, side, 6)."""
        import torch

        with torch.inference_mode():
            # Channels last already, as the network wants it.
            x = torch.from_numpy(batch).permute(0, 3, 1, 2).to(self.device, self._dtype)
            logits: NDArray[np.float32] = self._run(x)[:, 0].float().cpu().numpy()
        return logits


def _as_one_call(net: ClickNet, example: Tensor) -> Any:
    """The network traced: same numbers, and one wait for Python's lock instead of one a layer.

    While a window draws with that lock held, 60 waits make 100 ms of a network of 10.
    """
    import torch

    with torch.inference_mode():
        return torch.jit.trace(net, example, check_trace=False)  # type: ignore[no-untyped-call]


def _maps(patch: PromptPatch) -> NDArray[np.uint8]:
    maps = draw_maps(patch.prompts, len(patch.pixels))
    if len(patch.others):
        maps[EXCLUDE] |= draw_areas(patch.others, len(patch.pixels)) & (maps[INCLUDE] == 0)
    return maps


def _input(patch: PromptPatch, maps: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(side, side, 6): colours within the patch's own range, and the maps."""
    pixels = patch.pixels
    samples = pixels.reshape(-1, pixels.shape[-1])
    is_8bit_rgb = pixels.dtype == np.uint8 and pixels.shape[-1] == 3
    image = Normalizer.from_samples(samples, PERCENTILES, is_8bit_rgb=is_8bit_rgb).apply(pixels)
    out = np.empty((*pixels.shape[:2], 6), np.float32)
    out[..., :3] = image
    out[..., 3:] = encode(maps).transpose(1, 2, 0)
    return out


def _outline(logits: NDArray[np.float32], maps: NDArray[np.uint8]) -> PromptAnswer:
    """The part of the mask under the gestures, its holes filled."""
    regions, _ = ndimage.label(logits > 0)
    wanted = _under(regions, maps)
    if not len(wanted):
        return PromptAnswer(Contours.empty(1), 0.0)
    mask = ndimage.binary_fill_holes(np.isin(regions, wanted))
    prob = special.expit(logits)
    elsewhere = (regions > 0) & ~mask
    score = prob[mask].sum() / (mask.sum() + prob[~mask & ~elsewhere].sum())
    level = np.where(mask, np.maximum(logits, np.float32(0.05)), np.minimum(logits, 0))
    level[elsewhere] = _NEVER
    return PromptAnswer(_smooth_contours(level), float(score))


def _under(regions: NDArray[np.int32], maps: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Regions that a positive gesture touches; for a box alone, the one that fills most of it."""
    touched = np.unique(regions[maps[INCLUDE] > 0])
    touched = touched[touched > 0]
    if len(touched) or not maps[BOX].any():
        return touched
    sizes = np.bincount(regions[maps[BOX] > 0])
    sizes[0] = 0
    return np.array([sizes.argmax()], np.int32) if sizes.any() else touched


def _smooth_contours(level: NDArray[np.float32]) -> Contours:
    """Where the logits cross zero, to a part of a pixel: one row, px of the patch."""
    import shapely
    from skimage.measure import find_contours

    padded = np.pad(level, 1, constant_values=_NEVER)
    rings = find_contours(padded, 0.0)  # type: ignore[no-untyped-call]
    areas = [shapely.Polygon(ring[:, ::-1] - 0.5) for ring in rings if len(ring) >= 4]
    side = len(level)
    whole = shapely.make_valid(shapely.unary_union(areas))
    whole = shapely.intersection(whole, shapely.box(0, 0, side, side))
    parts = [g for g in shapely.get_parts(whole) if g.geom_type == "Polygon" and g.area >= 1]
    if not parts:
        return Contours.empty(1)
    return Contours.from_shapely([parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)])


# -- files -----------------------------------------------------------------------------------------


def save_click_net(net: ClickNet, path: Path) -> None:
    """Write the weights as safetensors."""
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path)


def load_click_net(path: Path) -> ClickNet:
    """Read the weights; ModelError where they are damaged or of another network."""
    from safetensors.torch import load_file

    from napari_histo.models.nuclick.net import ClickNet

    net = ClickNet()
    try:
        net.load_state_dict(load_file(path))
    except Exception as error:  # safetensors' own errors, OSError, RuntimeError of torch
        raise ModelError(
            f"{path} does not hold a click network: {reason_of(error)}. Copy it again."
        ) from error
    return net.eval()
