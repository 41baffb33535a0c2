"""Cellpose 1 to 3: what its networks learn from labelled regions."""
