"""A classifier of the Classify panel does the same on the command line."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from napari_histo.core import ClassScheme, ObjectState
from napari_histo.session import ImageChoice
from napari_histo.session.annotate.document import Document
from napari_histo.session.classify.controller import ClassifyController
from napari_histo.session.classify.work import ClassifyTools
from napari_histo.slides import open_slide
from napari_histo.store import load_objects, save_objects
from support.annotation_desk import Later

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
IMAGE = SAMPLES / "he_tile.ome.tif"


def test_what_is_learned_by_clicks_is_applied_alike(cli, tmp_path):
    truth = load_objects(SAMPLES / "he_tile.geojson")
    found = truth.with_columns(
        classes=ClassScheme.of("Nucleus"), class_id=np.zeros(len(truth), np.int32)
    )
    save_objects(tmp_path / "found.geojson", found)
    later, target = Later(), tmp_path / "panel.geojson"
    tools = ClassifyTools(open_document=partial(Document.open, data_folder=tmp_path))
    session = ClassifyController(later, tools)
    with open_slide(IMAGE) as reader:
        session.open(ImageChoice("tile", reader), target=target, table=found)
        later.run(lambda: session.classify.is_measured)
    for name in ("Tumor", "Stroma", "Immune cells"):
        session.add_class(name)
        for row in np.flatnonzero(truth.class_names == name)[:6]:
            session.click(*truth.centroids[row].tolist())
    known = session.classify
    later.run(lambda: known.quality is not None and known.quality["n"] == 18)  # of all examples
    session.save()
    card = tmp_path / "panel.classifier" / "classifier.json"
    later.run(lambda: session.state.kept.saved_at is not None and card.exists())
    session.close()

    shown = load_objects(target)
    names = dict(zip(shown.uuids(), shown.class_names, strict=True))
    right = [names[i] == name for i, name in zip(truth.uuids(), truth.class_names, strict=True)]
    assert np.mean(right) > 0.85

    out = tmp_path / "cli.geojson"
    ran = cli(
        "classify", "apply", card.parent, tmp_path / "found.geojson", "--image", IMAGE, "-o", out
    )
    assert ran.code == 0, ran.err
    applied = load_objects(out)
    given = set(shown.select(shown.state == ObjectState.ACCEPTED).uuids())
    assert len(given) == 18
    free = [i for i in applied.uuids() if i not in given]
    said = dict(zip(applied.uuids(), applied.class_names, strict=True))
    assert {i: said[i] for i in free} == {i: names[i] for i in free}
