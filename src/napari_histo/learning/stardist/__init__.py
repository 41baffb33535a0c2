"""StarDist: what it learns from labelled regions, and how well it does."""
