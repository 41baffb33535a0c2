"""Classes of cells: by examples or by thresholds."""
