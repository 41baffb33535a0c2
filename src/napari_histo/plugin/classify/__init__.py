"""The Classify panel."""
