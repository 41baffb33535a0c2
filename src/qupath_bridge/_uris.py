# SPDX-License-Identifier: GPL-3.0-or-later
"""What QuPath's URIs name: a file of Windows, a file of any other system, or no file at all.

A project travels between systems, so a path keeps its own flavour here, whichever machine reads it:
``file:/D:/a.svs`` is a `PureWindowsPath` on Linux too, and is matched without regard to case.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from urllib.parse import unquote, urlsplit

__all__ = ["is_local", "path_of_text", "path_of_uri", "relocated"]

_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/]|$)")


def path_of_uri(uri: str) -> PurePath | None:
    r"""The file that a URI names; None where it names none (http, omero, jar, …).

    Query and fragment are left out, as QuPath does. Shares come in both of Java's spellings,
    ``file://server/share/…`` and ``file:////server/share/…``; old projects hold plain paths.

    Examples
    --------
    >>> path_of_uri("file:/D:/two%20words/a+b.svs")
    PureWindowsPath('D:/two words/a+b.svs')
    >>> path_of_uri("file://server/share/a.svs")
    PureWindowsPath('//server/share/a.svs')
    >>> path_of_uri("https://example.org/a.svs") is None
    True
    """
    if _DRIVE.match(uri) or uri.startswith(("/", "\\\\")):
        return path_of_text(uri)
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme.lower() != "file":
        return None
    text = unquote(parts.path)
    if parts.netloc and parts.netloc.lower() != "localhost":
        return PureWindowsPath(f"//{unquote(parts.netloc)}{text}")
    if text.startswith("//"):
        return PureWindowsPath(text)
    return path_of_text(text[1:] if _DRIVE.match(text[1:]) else text)


def path_of_text(text: str) -> PurePath:
    r"""The path that a person or an old project wrote; a drive or a backslash makes it Windows'.

    Examples
    --------
    >>> path_of_text(r"\\server\share\slides"), path_of_text("/mnt/slides")
    (PureWindowsPath('//server/share/slides'), PurePosixPath('/mnt/slides'))
    """
    if _DRIVE.match(text):
        return PureWindowsPath(text if len(text) > 2 else text + "/")
    return PureWindowsPath(text) if "\\" in text else PurePosixPath(text)


def is_local(path: PurePath) -> bool:
    """True where this machine could have such a path: a drive letter means nothing on Linux."""
    return isinstance(Path(), type(path)) and path.is_absolute()


def relocated(image: PurePath, old_folder: PurePath, new_folder: Path) -> Path | None:
    """Where an image lies now if it moved together with its project.

    QuPath's rule (``UriUpdater.relative``): the way from the project's old folder to the image,
    walked from its new folder. Unlike QuPath's it also works between systems, for each path knows
    its own.

    Returns
    -------
    Path or None
        Whether it exists is not asked. None where no such way exists, as between two drives.

    Examples
    --------
    >>> old = PureWindowsPath("D:/study/project")
    >>> relocated(PureWindowsPath("d:/study/slides/a.svs"), old, Path("/mnt/study/project"))
    PosixPath('/mnt/study/slides/a.svs')
    """
    if type(image) is not type(old_folder) or not image.is_absolute():
        return None
    shared = 0
    for ours, theirs in zip(image.parts, old_folder.parts, strict=False):
        if type(image)(ours) != type(image)(theirs):  # a path's own rule of upper and lower case
            break
        shared += 1
    if shared == 0:
        return None
    ups = [os.pardir] * (len(old_folder.parts) - shared)
    return Path(os.path.normpath(new_folder.joinpath(*ups, *image.parts[shared:])))
