"""Pure functions on arrays: no files, no windows, no networks."""
