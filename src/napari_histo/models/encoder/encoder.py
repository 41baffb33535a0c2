"""Encoders of the user's own: a folder with weights and a few words about them.

::

    encoder.json          see `EncoderCard`
    model.safetensors     weights of a timm architecture (or .pth, read as plain tensors alone)
    encoder.pt            or a whole network as TorchScript, in place of an architecture

No file is read that could run Python: safetensors, `weights_only` loads, and TorchScript, which is
a program, but in torch's own language.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.errors import ModelError, ModelUnavailableError
from napari_histo.models._device import pick_device
from napari_histo.models.encoder.card import ENCODER_FILE, EncoderCard

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["FolderEncoder"]

_BATCH = 16
#: Under these names checkpoints of training runs hold their weights.
_WRAPPED = ("state_dict", "model", "teacher")


class FolderEncoder:
    """An encoder from a folder; any thread may call, one at a time.

    Parameters
    ----------
    card : EncoderCard
    device : {"auto", "cpu", "cuda", "mps"}

    Raises
    ------
    ModelError
        The weights are damaged, or of another architecture.
    ModelUnavailableError
        It needs timm, which is not installed.
    """

    def __init__(self, card: EncoderCard, *, device: str = "auto") -> None:
        self.card, self.device = card, pick_device(device)
        net = _from_timm(card) if card.architecture else _from_script(card)
        self._net = net.eval().to(self.device)

    def encode(self, pictures: NDArray[np.float32], pixel_um: float | None) -> NDArray[np.float32]:
        """Features (b, d) float32 of length 1, mean over windows that cover a picture.

        Parameters
        ----------
        pictures : (b, h, w, 3) float32
            RGB of 0 to 1.
        pixel_um : float or None
            Their pixel size; unknown, they are taken as they are.
        """
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)
            x = self._normalised(self._scaled(x.to(self.device), pixel_um))
            found = [self._features(window) for window in _windows(x, self.card.input_px)]
            mean = torch.stack(found).mean(dim=0)
            features: NDArray[np.float32] = torch.nn.functional.normalize(mean).cpu().numpy()
        return features

    def _scaled(self, x: Tensor, pixel_um: float | None) -> Tensor:
        import torch

        factor = 1.0
        if pixel_um and self.card.pixel_size_um:
            factor = pixel_um / self.card.pixel_size_um
        # A picture is never smaller than a window.
        least = self.card.input_px / min(x.shape[-2:])
        factor = max(factor, least) if factor * min(x.shape[-2:]) < self.card.input_px else factor
        if abs(factor - 1) < 0.01 and least <= 1:
            return x
        size = [max(self.card.input_px, round(n * factor)) for n in x.shape[-2:]]
        return torch.nn.functional.interpolate(
            x, size, mode="bilinear", align_corners=False, antialias=True
        )

    def _normalised(self, x: Tensor) -> Tensor:
        import torch

        mean, std = (
            torch.tensor(v, device=x.device)[:, None, None] for v in (self.card.mean, self.card.std)
        )
        return (x - mean) / std

    def _features(self, x: Tensor) -> Tensor:
        """Features (b, d) of length 1 of one window of each picture."""
        import torch

        out = torch.cat([self._one(part) for part in x.split(_BATCH)])  # type: ignore[no-untyped-call]
        return torch.nn.functional.normalize(out.float())

    def _one(self, x: Tensor) -> Tensor:
        try:
            out: Any = self._net(x)
        except Exception as error:  # torch raises what its kernels do
            raise ModelError(
                f"The encoder {self.card.name!r} fails on {self.card.input_px} px: {error}. Is "
                f"input_px in {self.card.folder / ENCODER_FILE} what it wants?"
            ) from error
        return _pooled(out, self.card)


def _pooled(out: Any, card: EncoderCard) -> Tensor:
    """(b, d) of what a network gives: maps are averaged, of tokens the first is taken."""
    shape = tuple(getattr(out, "shape", ()))
    if len(shape) == 4:
        out = out.mean(dim=(2, 3))
    elif len(shape) == 3:
        out = out[:, 0]
    elif len(shape) != 2:
        raise ModelError(
            f"The encoder {card.name!r} gives {type(out).__name__} of shape {shape}; wanted is one "
            "tensor: features (b, d), tokens (b, n, d) or maps (b, d, h, w)."
        )
    found: Tensor = out
    return found


def _windows(x: Tensor, side: int) -> Iterator[Tensor]:
    """Windows that cover pictures (b, c, h, w) with the least overlap."""
    height, width = x.shape[-2:]
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield x[..., top : top + side, left : left + side]


def _starts(length: int, side: int) -> list[int]:
    n = math.ceil(length / side)
    return [round(i * (length - side) / max(n - 1, 1)) for i in range(n)]


# -- files -----------------------------------------------------------------------------------------


def _from_script(card: EncoderCard) -> nn.Module:
    import torch

    try:
        net: nn.Module = torch.jit.load(str(card.path), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # torch raises what zip files and its own parser do
        raise ModelError(
            f"{card.path} is no TorchScript network ({type(error).__name__}). Write one with "
            "torch.jit.trace(...).save(...), or name a timm architecture in encoder.json."
        ) from error
    return net


def _from_timm(card: EncoderCard) -> nn.Module:
    from importlib import import_module

    try:
        timm = import_module("timm")
    except Exception as error:  # a torchvision that does not fit torch raises RuntimeError
        raise ModelUnavailableError(
            f"The encoder {card.name!r} is of timm's architecture {card.architecture!r}, and timm "
            f"cannot be imported ({error}). Install it, with a torchvision that fits torch: pip "
            "install 'napari-histo[encoders]'. Or "
            "save the encoder as TorchScript, which needs nothing else."
        ) from error
    try:
        net: nn.Module = timm.create_model(
            card.architecture, **{"pretrained": False, "num_classes": 0, **card.arguments}
        )
        net.load_state_dict(_read_weights(card.path))
    except ModelError:
        raise
    except Exception as error:  # timm and torch raise many kinds
        raise ModelError(
            f"{card.path} does not fit timm's {card.architecture!r} with {dict(card.arguments)}: "
            f"{error}. Correct architecture or arguments in {card.folder / ENCODER_FILE}."
        ) from error
    return net


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    """Tensors by name, from safetensors or from what torch reads without running code."""
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        kept: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip files, safetensors and the disk have their own
        raise ModelError(
            f"{path} holds no plain tensors ({type(error).__name__}: {str(error)[:200]}). A file "
            "that would run code is not opened; save the weights as safetensors."
        ) from error
    for name in _WRAPPED:
        if isinstance(kept, dict) and isinstance(kept.get(name), dict):
            kept = kept[name]
    return dict(kept)
