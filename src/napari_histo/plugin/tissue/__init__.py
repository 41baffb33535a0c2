"""The Tissue panel."""
