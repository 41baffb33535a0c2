"""What was asked of a run, kept beside its results: going on with them needs the same wish."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_histo import __version__
from napari_histo.cli._job import Job
from napari_histo.errors import RunFolderError

__all__ = ["ASKED", "keep_settings", "settings_of"]

#: File in a folder of results; hidden, for JSON there is taken for GeoJSON.
ASKED = ".batch.json"


def keep_settings(folder: Path, job: Job) -> None:
    """What was asked for lies in the folder; to go on, it has to be the same."""
    from napari_histo.store.run_differences import differences
    from napari_histo.store.write import atomic_path

    path, asked = folder / ASKED, settings_of(job)
    there = _read_settings(path) if job.resume else None
    if there is None:
        with atomic_path(path) as work:
            work.write_text(json.dumps(asked, indent=1), encoding="utf-8")
        return
    differing = differences(there, asked)
    if differing:
        raise RunFolderError(
            f"The results in {folder} were made otherwise ({'; '.join(differing)}). Ask for the "
            "same again to go on, leave --resume out to make all anew, or give another folder "
            "with -o."
        )


def _read_settings(path: Path) -> dict[str, Any] | None:
    """None where there are none, or none that can be read: then nothing there counts as done."""
    with suppress(OSError, ValueError):
        there: Any = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(there, dict) and {"image", "model", "parameters"} <= there.keys():
            return there
    return None


def settings_of(job: Job) -> dict[str, Any]:
    """Facts that decide which objects are found; tiles and devices do not."""
    parameters = {k: v for k, v in asdict(job.request).items() if k not in ("tile_px", "seed")}
    parameters |= {"classes": None if job.classes is None else list(job.classes.names)}
    parameters |= {"tissue": job.tissue, "z": job.z or 0, "series": job.series or 0}
    if job.colours is not None:
        parameters["colours"] = {k: str(v) for k, v in asdict(job.colours).items()}
    if job.cells is not None:
        parameters["cells"] = job.cells.facts()
    if job.diameter_um is not None:
        parameters["diameter_um"] = job.diameter_um
    info = job.model.info
    return {
        "image": {},
        "model": {"name": info.name, "sha256": info.sha256},
        "parameters": parameters,
        "version": __version__,
    }
