"""Learning from what people drew."""

from __future__ import annotations
