"""Models that answer clicks, boxes and squiggles."""
