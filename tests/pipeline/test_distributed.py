"""Tiles on a Dask cluster: the objects of one process, also where a worker dies."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import tifffile

from napari_histo.core import CancelToken, PixelSize
from napari_histo.errors import Cancelled, ClusterError, ImageError
from napari_histo.models import load_model
from napari_histo.pipeline import RunRequest, SegmentRequest, segment_slide
from napari_histo.slides import open_slide
from napari_histo.store import load_objects
from napari_histo.testing.synthetic import make_he_field
from support.inbox import PATIENCE_S
from support.lattice import finish

pytest.importorskip("distributed", reason="the extra 'distributed' is not installed")
from napari_histo.pipeline.distributed import ClusterSource, TileJob, connect

pytestmark = pytest.mark.slow
ASKED = SegmentRequest(tile_px=128, seed=3, pixel_size=PixelSize.square(0.25))


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "he.tif"
    tifffile.imwrite(path, make_he_field(np.random.default_rng(5), 512).image, tile=(128, 128))
    return path


@pytest.fixture(scope="module")
def client():
    with connect(n_workers=2) as client:
        yield client


def job(path, model="he-nuclei"):
    return TileJob(str(path), 0, 0, load_model, model, "cpu", ASKED)


def run(path, folder, source=None, cancel=None, *, resume=False, model="he-nuclei"):
    with open_slide(path) as reader:
        request = RunRequest(ASKED, resume=resume)
        work = segment_slide(
            reader, load_model(model, device="cpu"), folder, request, cancel, source=source
        )
        return finish(work)[0]


def assert_same(a, b):
    left, right = load_objects(a.objects), load_objects(b.objects)
    assert (left.object_id == right.object_id).all()
    assert (left.contours.xy == right.contours.xy).all()
    assert (left.det_prob == right.det_prob).all()


@pytest.mark.parametrize("model", ["he-nuclei", "classical"])
def test_object_for_object(slide, client, tmp_path, model):
    here = run(slide, tmp_path / "here", model=model)
    there = run(slide, tmp_path / "there", ClusterSource(client, job(slide, model)), model=model)
    assert here.n_objects > 50
    assert_same(here, there)


def until_gone(pid):
    """Until the process that started it has heard of its death."""
    end = time.monotonic() + PATIENCE_S
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < end:
            os.kill(pid, 0)
            time.sleep(0.01)


class KillsAWorker(ClusterSource):
    """Takes one of two workers' lives in the middle."""

    killed = None

    def __call__(self, plan, tiles, cancel):
        for n, batch in enumerate(super().__call__(plan, tiles, cancel)):
            if n == 2:
                pids = self._client.run(os.getpid)
                self.killed = next(iter(pids.values()))
                os.kill(self.killed, signal.SIGKILL)
            yield batch


def test_a_worker_dies(slide, client, tmp_path):
    here = run(slide, tmp_path / "here")
    source = KillsAWorker(client, job(slide))
    assert_same(here, run(slide, tmp_path / "there", source))
    assert source.killed is not None
    until_gone(source.killed)


def test_cancelled_on_the_cluster_and_finished_here(slide, client, tmp_path):
    token = CancelToken()

    class Stops(ClusterSource):
        def __call__(self, plan, tiles, cancel):
            for n, batch in enumerate(super().__call__(plan, tiles, cancel)):
                yield batch
                if n == 1:  # of four batches or more: no more than four tiles are on their way
                    token.cancel()

    with pytest.raises(Cancelled):
        run(slide, tmp_path / "run", Stops(client, job(slide)), token)
    assert 2 <= len(list((tmp_path / "run" / "proposals").iterdir())) <= 8 < 16
    done = run(slide, tmp_path / "run", resume=True)
    whole = run(slide, tmp_path / "whole")
    assert_same(done, whole)


def test_what_workers_cannot_open_is_told(slide, client, tmp_path):
    lost = ClusterSource(client, job("/elsewhere/he.tif"))
    with pytest.raises(ImageError, match="elsewhere"):
        run(slide, tmp_path / "run", lost)


def test_no_scheduler_there():
    with pytest.raises(ClusterError, match="dask scheduler"), connect("tcp://127.0.0.1:1"):
        pass


def test_tiles_are_not_lost_or_doubled(slide, client, tmp_path):
    done = run(slide, tmp_path / "run", ClusterSource(client, job(slide)))
    ids = load_objects(done.objects).object_id
    assert len(np.unique(ids, axis=0)) == len(ids)
