"""Nuclei and cells in napari, on whole slides, in step with QuPath."""

from __future__ import annotations

import os

__version__ = "0.1.0"

# Libraries read these when they are loaded. Tensors in huge pages: networks on the processor run a
# fifth faster. Arrow by the C library's allocator: its own keeps what it once had.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
