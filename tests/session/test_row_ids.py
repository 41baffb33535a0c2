"""Rows by id, when objects change one by one and many at once."""

from __future__ import annotations

from uuid import UUID

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import new_ids
from napari_histo.session.annotate import row_ids
from napari_histo.session.annotate.row_ids import LatestRows, RowsById

IDS = new_ids(40, np.random.default_rng(0))


def uuid(k):
    return UUID(bytes=IDS[k].tobytes())


@given(st.lists(st.lists(st.integers(0, 39), min_size=1, max_size=12, unique=True), max_size=8))
@settings(max_examples=60)
def test_the_latest_row_counts(changes):
    """Against a dictionary; three ids at once are many here."""
    many, row_ids._MANY = row_ids._MANY, 3
    try:
        rows, expected, n = LatestRows(IDS[:20]), {k: k for k in range(20)}, 20
        for change in changes:
            rows.add(n, IDS[change])
            expected |= {k: n + i for i, k in enumerate(change)}
            n += len(change)
        wanted = [expected.get(k, -1) for k in range(40)]
        assert [r if (r := rows.find(uuid(k))) is not None else -1 for k in range(40)] == wanted
        assert rows.find_all(IDS).tolist() == wanted
        assert rows.find_all(IDS[:2]).tolist() == wanted[:2]
    finally:
        row_ids._MANY = many


def test_ids_that_begin_alike_are_told_apart():
    alike = IDS[:4].copy()
    alike[:, :8] = alike[0, :8]
    rows = RowsById(alike[:3])
    assert rows.find_all(alike[::-1]).tolist() == [-1, 2, 1, 0]
    assert RowsById(alike[:0]).find_all(alike).tolist() == [-1] * 4
