"""The Active learning panel."""
