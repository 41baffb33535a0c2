# SPDX-License-Identifier: GPL-3.0-or-later
"""Small things that the client of the worker process needs to know of it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
from pathlib import Path
from typing import IO

__all__ = ["cannot_start", "java_environment", "memory_mb", "pump"]

# Java's serialisation keeps a hash table of every object that it has written, by identity. With
# Java's random identity hashes each look-up misses the processor's caches, which was 80 % of
# QuPath's saving; numbers in sequence lie beside each other.
_SEQUENTIAL = "-XX:+UnlockExperimentalVMOptions -XX:hashCode=3"
_THROUGHPUT = "-XX:+UseParallelGC"
# A heap that grows while it fills is swept again for each step, and objects that all stay are
# copied at each; up to this much is there at once instead. Pages are taken when they are used.
_HEAP_MB, _YOUNG_MB = 3000, 1800


def java_environment(heap_mb: int | None) -> dict[str, str]:
    """Variables that make Java fast at saving many objects, and bound its heap (MiB)."""
    given = os.environ.get("JAVA_TOOL_OPTIONS", "")
    others = given + os.environ.get("PAQUO_JAVA_OPTS", "")
    wanted = [given, _SEQUENTIAL]
    if "GC" not in others:  # Java does not start with two collectors named
        wanted.append(_THROUGHPUT)
    if not any(word in others for word in ("-Xm", "HeapSize", "RAMPercentage")):
        wanted += _sizes(heap_mb or _half_of_memory_mb())
    options = {"JAVA_TOOL_OPTIONS": " ".join(filter(None, wanted))}
    if heap_mb is not None:
        options["PAQUO_JAVA_OPTS"] = json.dumps([f"-Xmx{heap_mb}m"])
    return options


def _sizes(limit_mb: float) -> list[str]:
    if limit_mb <= 0:
        return []
    heap_mb, young_mb = min(_HEAP_MB, 0.75 * limit_mb), min(_YOUNG_MB, 0.45 * limit_mb)
    huge = ["-XX:+UseTransparentHugePages"] if sys.platform == "linux" else []
    return [f"-Xms{heap_mb:.0f}m", f"-Xmn{young_mb:.0f}m", *huge]


def _half_of_memory_mb() -> float:
    """What paquo lets Java take by itself; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**21
    except (AttributeError, ValueError, OSError):
        return 0.0


def pump(stream: IO[str] | None, lines: queue.SimpleQueue[str | None]) -> None:
    """Lines of a stream until it ends, then None."""
    with contextlib.suppress(OSError, ValueError):
        for line in stream or ():
            lines.put(line)
    lines.put(None)


def cannot_start(reason: str) -> str:
    """What to tell the user where the process said that it cannot work."""
    if "paquo" in reason or "jpype" in reason:
        return f"paquo is not installed ({reason}): pip install 'napari-histo[qupath]'."
    return f"QuPath's Java does not start: {reason}. Check the installation of QuPath."


def memory_mb(pid: int | None) -> float | None:
    """Resident memory of a process; None where the system does not tell in a file."""
    try:
        text = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError, AttributeError, IndexError):
        return None
