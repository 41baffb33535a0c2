"""Classes of cells: a classifier that learns from clicked examples while one waits."""
