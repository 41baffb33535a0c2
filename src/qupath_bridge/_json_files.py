# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads QuPath's JSON files; whatever is wrong with one is one message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_histo.errors import BridgeError

__all__ = ["read_json_object"]


def read_json_object(path: Path, *, what: str, remedy: str) -> dict[str, Any]:
    """The JSON object in a file.

    Parameters
    ----------
    path : Path
    what : str
        What the file is to the user, such as ``"QuPath project"``; begins the message.
    remedy : str
        What to do when it cannot be read; ends the message.

    Raises
    ------
    BridgeError
        The file is missing, not ours to read, empty, cut short, no JSON, or another kind of JSON.

    Notes
    -----
    QuPath writes UTF-8 with Gson, which allows ``NaN``; Python's own parser takes that too.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _wrong(what, path, f"cannot be read: {error.strerror or error}", remedy) from error
    except UnicodeDecodeError as error:
        raise _wrong(what, path, f"is not UTF-8 text ({error.reason})", remedy) from error
    if not text.strip("\0 \t\r\n"):
        raise _wrong(what, path, f"is empty ({path.stat().st_size} bytes)", remedy)
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise _wrong(what, path, _where(text, error), remedy) from error
    if not isinstance(found, dict):
        raise _wrong(what, path, f"holds a JSON {type(found).__name__}, not an object", remedy)
    return found


def _where(text: str, error: json.JSONDecodeError) -> str:
    # A file cut short fails at its very end: the last token is what lacks its partner.
    if not text.rstrip().endswith("}"):
        return f"is cut short after {len(text)} characters"
    return f"is not JSON (line {error.lineno}: {error.msg})"


def _wrong(what: str, path: Path, reason: str, remedy: str) -> BridgeError:
    return BridgeError(f"{what} {path} {reason}. {remedy}")
