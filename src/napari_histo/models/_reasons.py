"""What libraries say of damaged files, as half a sentence."""

from __future__ import annotations

import re

__all__ = ["reason_of"]

_LONGEST = 200


def reason_of(error: BaseException) -> str:
    """The first thing that an error says, without a full stop; its class where it says nothing.

    Torch lists every layer of a network that does not fit, under a headline: the first is enough.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Error(s) in loading"):
        del lines[0]
    first = lines[0] if lines else type(error).__name__
    first = re.split(r"\. +(?=[A-Z(])", first)[0].strip(" .:")
    return first if len(first) <= _LONGEST else f"{first[:_LONGEST]}…"
