"""The Cellpose-SAM that a fine-tuning goes on from, and what it would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from napari_histo.errors import ModelError
from napari_histo.learning.cellpose.params import SamTraining
from napari_histo.learning.cellpose.start import PERCENTILES, file_of
from napari_histo.learning.course.card import learned_from
from napari_histo.learning.course.start import ObjectStart
from napari_histo.learning.training import Example
from napari_histo.models._device import free_bytes, pick_device, pick_precision
from napari_histo.models.cellpose.files import holds_sam, sam_info
from napari_histo.models.cellpose.reading import read_weights
from napari_histo.models.cellpose.sam import check_package, load_sam_net
from napari_histo.models.cellpose.sam_parts import SamTail, SamTrunk
from napari_histo.models.cellpose.tuned import BaseFile, find_base, read_tuned
from napari_histo.models.registry import get_info
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS
from napari_histo.models.shelf.places import sha256_of

__all__ = ["SamStart", "memory_bytes"]

#: Of the answers of layers that do not learn.
_REMEMBERED_BYTES = 2 << 30
#: Weights, their gradients, two moments, the average, the best, and the teacher's, float32 each.
_BYTES_A_WEIGHT = 7 * 4
#: Windows that a region which judges is seen in, about.
_WINDOWS_A_REGION = 16
_BLOCK, _DEPTH = "encoder.blocks.", "attn.qkv.weight"


@dataclass(frozen=True, eq=False, kw_only=True)
class SamStart(ObjectStart[SamTail]):
    """What a fine-tuning begins with.

    Attributes
    ----------
    trunk : SamTrunk
        Layers that stay as they are, on the training's device.
    base : BaseFile
    kept : mapping of str to Tensor
        What the parent learned, which may be more than learns now.
    needs_bytes : int
        See `memory_bytes`.
    """

    trunk: SamTrunk
    base: BaseFile
    kept: Mapping[str, Tensor]
    needs_bytes: int

    @classmethod
    def of(cls, parent: Path | str, examples: Sequence[Example], params: SamTraining) -> SamStart:
        """From a file, the name of a published network, or a folder of an earlier fine-tuning.

        Raises
        ------
        ModelError
            It is no Cellpose-SAM, or there is not enough memory.
        MissingDependencyError
        """
        info, path = get_info(str(parent)), file_of(str(parent))
        if not holds_sam(path):
            raise ModelError(f"{path} is no file of Cellpose-SAM. Train it as what it is.")
        check_package()
        file, base, kept = _files(path)
        device = pick_device(params.device)
        weights, precision = read_weights(file) | kept, pick_precision(params.precision, device)
        needs = memory_bytes(weights, params, precision)
        _check_depth(weights, params.blocks)
        _check_memory(needs, device, params)
        net = load_sam_net(file, weights, precision="float32")
        trunk = SamTrunk(net, params.blocks, keep_bytes=_REMEMBERED_BYTES)
        size_um = params.diameter_um and params.diameter_um / float(net.diam_mean)
        told = sam_info(file, info)
        new = replace(
            told,
            name=params.name,
            description=learned_from(examples, info.name),
            pixel_size_um=size_um or told.pixel_size_um,
        )
        return cls(
            net=SamTail(net, params.blocks).eval(),
            info=new,
            percentiles=PERCENTILES,
            parent=info.name,
            sha256=base.sha256 if path == file else sha256_of(path / SHIPPED_WEIGHTS),
            trunk=trunk.to(device=device, dtype=_dtype(precision)),
            base=base,
            kept=kept,
            needs_bytes=needs,
        )


def _files(path: Path) -> tuple[Path, BaseFile, dict[str, Tensor]]:
    """The whole network's file, what it is known by, and what an earlier fine-tuning changed."""
    if path.is_file():
        return path, BaseFile.of(path), {}
    base, kept = read_tuned(path)
    return find_base(path, base), base, kept


def memory_bytes(weights: Mapping[str, Tensor], params: SamTraining, precision: str) -> int:
    """Memory that a fine-tuning takes at most, from the shapes of the weights alone.

    Parameters
    ----------
    weights : mapping of str to Tensor
        Of the whole network.
    params : SamTraining
    precision : {"float32", "bfloat16"}
        Of the layers that do not learn.
    """
    each = _dtype(precision).itemsize
    depth, width = _depth(weights), weights[f"{_BLOCK}0.{_DEPTH}"].shape[1]
    tokens = (params.patch_px // weights["W2"].shape[-1]) ** 2
    heads = width // weights[f"{_BLOCK}0.attn.rel_pos_h"].shape[1]
    learning = sum(v.numel() for k, v in weights.items() if _learns(k, depth - params.blocks))
    whole = 4 * sum(v.numel() for v in weights.values())
    # Scores of each head, with places, before and after softmax; then about 16 maps of features.
    a_block = 4 * (3 * heads * tokens**2 + 16 * tokens * width)
    # One block at work where none learns; the readout's maps are small beside it.
    a_batch = params.batch * max(1, params.blocks) * a_block
    windows = (params.patches or 0) + _WINDOWS_A_REGION * 8
    remembered = min(_REMEMBERED_BYTES, windows * tokens * width * each)
    # The file, and the network while it is made of it.
    return 2 * whole + _BYTES_A_WEIGHT * learning + a_batch + remembered


def _learns(name: str, first: int) -> bool:
    if name.startswith(_BLOCK):
        return int(name.removeprefix(_BLOCK).partition(".")[0]) >= first
    return name.startswith(("encoder.neck.", "out."))


def _depth(weights: Mapping[str, Tensor]) -> int:
    return sum(name.startswith(_BLOCK) and name.endswith(_DEPTH) for name in weights)


def _check_depth(weights: Mapping[str, Tensor], blocks: int) -> None:
    if blocks > _depth(weights):
        raise ModelError(f"blocks is {blocks}, but this network has {_depth(weights)}.")


def _check_memory(needs: int, device: str, params: SamTraining) -> None:
    free = free_bytes(device)
    if free is not None and needs > free:
        raise ModelError(
            f"Fine-tuning Cellpose-SAM with {params.blocks} block(s) that learn takes about "
            f"{needs / 1e9:.1f} GB of memory on {device}, and {free / 1e9:.1f} GB are free. Close "
            "other programs, or take fewer blocks or a smaller batch."
        )


def _dtype(precision: str) -> torch.dtype:
    found: torch.dtype = getattr(torch, precision)
    return found
