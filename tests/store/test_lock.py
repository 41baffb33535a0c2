"""Rights to files that threads of one process wait for."""

from __future__ import annotations

from threading import Condition

import pytest

from napari_histo.errors import DocumentLockedError
from napari_histo.store import lock
from napari_histo.store.lock import FileLock


class StandsStill(Condition):
    """Each wait ends late and in vain, as in a program that was stopped or on a laptop that slept.

    At the third one the other thread has come to let go.
    """

    def __init__(self, held):
        super().__init__()
        self._held, self.n_waits = held, 0

    def wait_for(self, predicate, timeout=None):
        self.n_waits += 1
        if self.n_waits == 3:
            self._held.release()
        return predicate()


def test_a_program_that_stood_still_waits_for_its_other_thread_all_the_same(tmp_path, monkeypatch):
    held = FileLock(tmp_path / "lock", "slide.geojson")
    monkeypatch.setattr(lock, "_guard", StandsStill(held))
    FileLock(tmp_path / "lock", "slide.geojson", patience_s=2.0).release()
    assert lock._guard.n_waits == 3


@pytest.mark.parametrize("patience_s", [0.0, 0.01])
def test_what_nobody_lets_go_is_refused(tmp_path, patience_s):
    held = FileLock(tmp_path / "lock", "slide.geojson")
    with pytest.raises(DocumentLockedError, match="another window of this program"):
        FileLock(tmp_path / "lock", "slide.geojson", patience_s=patience_s)
    held.release()
    FileLock(tmp_path / "lock", "slide.geojson").release()
