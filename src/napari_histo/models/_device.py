"""Where a network runs, and at which precision."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from napari_histo.errors import ModelError

__all__ = ["Device", "Precision", "devices", "free_bytes", "pick_device", "pick_precision", "room"]

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]


def devices() -> list[str]:
    """Devices of this machine, ``auto`` first, then the fastest."""
    import torch

    found = ["auto"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def pick_device(device: str) -> str:
    """A real device for a wish; ``auto`` takes the fastest.

    Raises
    ------
    ModelError
        The wish is unknown, or that device is not there.
    """
    there = devices()
    if device == "auto":
        return there[1]
    if device not in there:
        raise ModelError(
            f"The device {device!r} is not available here; available: {', '.join(there)}. "
            "Choose one of these ('auto' takes the fastest), or check the GPU driver with "
            "'napari-histo doctor'."
        )
    return device


def pick_precision(precision: str, device: str) -> Precision:
    """``float32``, or ``bfloat16`` where the hardware computes in it and ``auto`` was asked."""
    if precision == "float32":
        return "float32"
    if precision == "bfloat16":
        return "bfloat16"
    if precision != "auto":
        raise ModelError(
            f"The precision {precision!r} is unknown; use 'auto', 'float32' or 'bfloat16'."
        )
    return "bfloat16" if _has_bfloat16(device) else "float32"


def room(device: str, bytes_each: int) -> int:
    """How many pieces of work of so many bytes fit into a device's free memory now.

    A fifth is left to others. Where nobody can tell, 1.
    """
    if device == "cuda":
        import torch

        free = torch.cuda.mem_get_info()[0]
    else:
        try:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            return 1
    return int(0.8 * free // bytes_each)


def free_bytes(device: str) -> int | None:
    """Memory of a device that programs can get now; None where nobody can tell."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    # What files keep in memory is given back, and counts as free here.
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((1024 * int(kilobytes) for kilobytes in found), None)


def _has_bfloat16(device: str) -> bool:
    """True where there are instructions for it; emulated, it is slower than float32."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        abilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))
    return False
