"""Cellpose: networks of its versions 1 to 3, and Cellpose-SAM."""
