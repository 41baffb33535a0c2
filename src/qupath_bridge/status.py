# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is in a project, as plain words for the command line and for other programs."""

from __future__ import annotations

import json
from typing import Any

from napari_histo.errors import BridgeError
from qupath_bridge._summary import Summary
from qupath_bridge.changes import ProjectChanges
from qupath_bridge.project import ProjectEntry, QuPathProject
from qupath_bridge.rounds_list import round_of

__all__ = ["image_status", "project_status"]


def project_status(project: QuPathProject, changes: ProjectChanges | None = None) -> dict[str, Any]:
    """Everything that ``qupath-bridge status --json`` prints.

    Parameters
    ----------
    project : QuPathProject
    changes : ProjectChanges or None
        Since a snapshot, where there is one.

    Returns
    -------
    dict
        Of JSON's types alone. ``images`` lists every image, see `image_status`; ``problems`` is
        what is damaged, one message each; ``removed`` are the ids that the snapshot knew.
    """
    return {
        "project": str(project.file),
        "version": project.version,
        "uri": project.uri,
        "created_ms": project.created_ms,
        "modified_ms": project.modified_ms,
        "classes": _classes(project),
        "problems": list(project.problems()),
        "removed": list(changes.removed) if changes else [],
        "images": [image_status(project, entry, changes) for entry in project.entries],
    }


def image_status(
    project: QuPathProject, entry: ProjectEntry, changes: ProjectChanges | None = None
) -> dict[str, Any]:
    """One image.

    Returns
    -------
    dict
        ``path`` is None where the file is not found, and ``found`` says how it was or was not;
        ``n_objects`` is None where QuPath never counted; ``state`` is a `DataState`; ``sync`` lists
        what changed since the snapshot (``added``, ``renamed``, ``edited``, ``changed``, or
        ``untouched``), or is None without one; ``round`` is what the project's list says of the
        image's round of active learning, or None.
    """
    found, check = project.find_image(entry), entry.check_data()
    summary = _summary(entry)
    return {
        "id": entry.entry_id,
        "name": entry.name,
        "description": entry.description,
        "tags": list(entry.tags),
        "metadata": dict(entry.metadata),
        "round": round_of(entry),
        "uri": entry.uri,
        "uris": list(entry.builder.uris),
        "path": None if found.path is None else str(found.path),
        "found": found.how,
        "image_message": found.message,
        "steps": [_finite({"kind": s.kind, **s.settings}) for s in entry.builder.steps],
        "n_objects": summary.n_objects if summary else None,
        "objects": dict(summary.by_type) if summary else {},
        "saved_ms": summary.timestamp_ms if summary else None,
        "state": check.state.value,
        "state_message": check.message,
        "sync": None if changes is None else list(changes.words_for(entry.entry_id)),
    }


def _finite(words: dict[str, Any]) -> Any:
    """Without the NaN that QuPath may write and JSON does not know."""
    return json.loads(json.dumps(words), parse_constant=lambda _: None)


def _summary(entry: ProjectEntry) -> Summary | None:
    try:
        return entry.summary()
    except BridgeError:  # its message is that of the entry's check
        return None


def _classes(project: QuPathProject) -> list[dict[str, Any]]:
    try:
        return [{"name": c.name, "rgb": list(c.rgb)} for c in project.classes]
    except BridgeError:  # among the problems
        return []
