# SPDX-License-Identifier: GPL-3.0-or-later
"""What publishing and collecting did, in JSON's types and in a line for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_histo.core import RoundFacts
from qupath_bridge.rounds import Collected, Published
from qupath_bridge.rounds_files import describe

__all__ = ["collected_words", "published_line", "published_words"]


def published_words(done: Published) -> dict[str, Any]:
    plan = done.plan
    return {
        "id": done.image.entry_id,
        "name": done.image.name,
        "new": [str(r.region_id) for r in plan.new],
        "known": [str(r.region_id) for r in plan.known],
        "restated": [str(r.region_id) for r in plan.restated],
        "blocked": [str(r.region_id) for r in plan.blocked],
        "n_predictions": plan.n_predictions,
        "n_left_out": plan.n_left_out,
        **_facts_words(done.facts),
    }


def published_line(words: Mapping[str, Any], dry_run: bool) -> str:
    parts = [
        f"{len(words['new'])} new regions with {words['n_predictions']} predictions",
        f"{len(words['known'])} there already" if words["known"] else "",
        f"{len(words['restated'])} of these marked as here" if words["restated"] else "",
        f"{words['n_left_out']} predictions left out, the project has objects there"
        if words["n_left_out"]
        else "",
        f"{len(words['blocked'])} not published: their ids belong to other objects there"
        if words["blocked"]
        else "",
    ]
    would = "would be: " if dry_run else ""
    return f"{words['name']}: {would}{'; '.join(filter(None, parts))}"


def collected_words(found: Collected) -> dict[str, Any]:
    return {
        "id": found.image.entry_id,
        "name": found.image.name,
        **_facts_words(found.facts),
        "regions": [describe(example) for example in found.examples],
        "remarks": found.remarks,
    }


def _facts_words(facts: RoundFacts) -> dict[str, Any]:
    return {
        "round": facts.round_number,
        "status": facts.status,
        "n_to_annotate": facts.n_to_annotate,
        "n_done": facts.n_done,
        "n_skipped": facts.n_skipped,
        "n_objects": facts.n_objects,
    }
