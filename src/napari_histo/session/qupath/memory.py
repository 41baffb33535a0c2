"""What the QuPath panel remembers from one session to the next."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qupath_bridge.images import PathRule

__all__ = ["Memory"]

_log = logging.getLogger(__name__)
_N_RECENT, _N_RULES = 8, 50


@dataclass(frozen=True)
class Memory:
    """Projects that were opened, and where moved slides are.

    Attributes
    ----------
    file : Path
        JSON in the user's folder of settings.
    recent : tuple of Path
        Project files, the latest first.
    rules : tuple of PathRule
        The latest first; they hold for every project.
    """

    file: Path
    recent: tuple[Path, ...] = ()
    rules: tuple[PathRule, ...] = ()

    @classmethod
    def load(cls, file: Path | None = None) -> Memory:
        """As it was kept; empty where there is nothing, or nothing that can be read."""
        if file is None:
            import platformdirs

            file = Path(platformdirs.user_config_path("napari-histo")) / "qupath.json"
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            words: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            rules = tuple(PathRule(str(r["old"]), str(r["new"])) for r in words["rules"])
            return cls(file, tuple(Path(p) for p in words["recent"]), rules)
        return cls(file)

    def with_project(self, project: Path) -> Memory:
        """`project` was opened."""
        others = [p for p in self.recent if p != project]
        return replace(self, recent=tuple([project, *others][:_N_RECENT]))

    def with_rule(self, rule: PathRule) -> Memory:
        """The user said where slides are; an older word on the same folder goes."""
        others = [r for r in self.rules if r.old != rule.old]
        return replace(self, rules=tuple([rule, *others][:_N_RULES]))

    def save(self) -> Memory:
        """Keep; where that fails, this session knows all the same."""
        words = {
            "recent": [str(p) for p in self.recent],
            "rules": [{"old": r.old, "new": r.new} for r in self.rules],
        }
        work = self.file.with_name(f".{self.file.name}.part")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            work.write_text(json.dumps(words, indent=1), encoding="utf-8")
            work.replace(self.file)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self.file, error)
        return self
