"""UUIDs of many objects as text and back, without a Python object for each."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

__all__ = ["ids_from_text", "ids_to_text"]

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_DASHES = (8, 13, 18, 23)
_DIGITS = np.array([i for i in range(36) if i not in _DASHES])


def ids_to_text(object_id: NDArray[np.uint8]) -> bytes:
    """All ids (n, 16) in the canonical form, 36 bytes each, one after the other."""
    text = np.full((len(object_id), 36), ord("-"), np.uint8)
    nibbles = np.stack([object_id >> 4, object_id & 15], axis=2).reshape(len(object_id), 32)
    text[:, _DIGITS] = _HEX[nibbles]
    return text.tobytes()


def ids_from_text(texts: Sequence[object]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Ids (n, 16) of texts, and which texts were UUIDs (n,); the others come back as zeros."""
    try:
        if set(map(len, texts)) <= {36}:  # type: ignore[arg-type]
            packed = "".join(texts)  # type: ignore[arg-type]
            raw = bytes.fromhex(packed.replace("-", ""))
            if len(raw) == 16 * len(texts):
                ids = np.frombuffer(raw, np.uint8).reshape(-1, 16).copy()
                return ids, np.ones(len(texts), bool)
    except (TypeError, ValueError):
        pass
    ids = np.zeros((len(texts), 16), np.uint8)
    valid = np.zeros(len(texts), bool)
    for row, text in enumerate(texts):
        value = _parse(text)
        if value is not None:
            ids[row], valid[row] = np.frombuffer(value.bytes, np.uint8), True
    return ids, valid


def _parse(text: object) -> UUID | None:
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None
