"""Encoders of the user's own, which say what regions look like."""
