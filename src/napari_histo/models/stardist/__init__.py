"""StarDist: its network, its files, and what becomes of its answers."""
