# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps napari-histo's objects in step with a QuPath project.

A package beside :mod:`napari_histo` under its own licence, GPL-3.0-or-later, because it may drive
paquo, which carries that licence. It knows :mod:`napari_histo.core`, :mod:`napari_histo.errors` and
:mod:`napari_histo.store.geojson` (for snapshots also ``.parquet``), and never napari. Importing it
starts no JVM and needs neither paquo nor QuPath: Java runs in a process of its own.
"""
