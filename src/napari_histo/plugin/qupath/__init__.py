"""The QuPath panel."""
