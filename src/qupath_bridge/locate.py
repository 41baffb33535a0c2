# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds an installed QuPath without a JVM, where paquo would look for it.

paquo searches only while it starts Java, in the process that then keeps the JVM. This module
answers the same question from the file system alone, so that ``napari-histo doctor`` can tell what
is there, and so that the bridge can hand the worker process one certain folder
(:meth:`QuPathInstall.environment`).

Settings are paquo's own, from the environment or from ``.paquo.toml`` in the working folder or one
above it: ``PAQUO_QUPATH_DIR`` (used alone when set), ``PAQUO_QUPATH_SEARCH_DIRS``,
``PAQUO_QUPATH_SEARCH_DIR_REGEX``, ``PAQUO_QUPATH_SEARCH_CONDA``, ``PAQUO_QUPATH_PREFER_CONDA``.
Values are read as TOML, else as plain text. One difference: ``~`` means the home folder here, which
paquo 0.9 takes literally. Search order and folder layout after ``paquo/jpype_backend.py`` 0.9.
"""

from __future__ import annotations

import os
import platform
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENV_PREFIX = "PAQUO_"
DEFAULTS: Mapping[str, Any] = {
    "qupath_dir": "",
    "qupath_search_dirs": [
        "/opt",
        "/Applications",
        "c:/Program Files",
        "/usr/local",
        "~/Applications",
        "~/AppData/Local",
        "~",
    ],
    "qupath_search_dir_regex": "(?i)qupath.*",
    "qupath_search_conda": True,
    "qupath_prefer_conda": True,
}
_CORE_JAR = re.compile(r"qupath-core-(\d.*)\.jar")

# relative to the installation: folder of the jars, Java's own folder, its library inside that
_LAYOUTS = {
    "Linux": ("lib/app", "lib/runtime", "lib/server/libjvm.so"),
    "Darwin": ("Contents/app", "Contents/runtime/Contents/Home", "lib/libjli.dylib"),
    "Windows": ("app", "runtime", "bin/server/jvm.dll"),
}
#: Words in the names of the jars of extensions that read images.
_READERS = {"openslide": "OpenSlide", "bioformats": "Bio-Formats"}
_CONDA_FOLDERS = {"Linux": "opt/QuPath", "Darwin": "bin/QuPath.app", "Windows": "Library/QuPath"}


@dataclass(frozen=True)
class QuPathInstall:
    """An installation that paquo can use.

    Attributes
    ----------
    path : Path
        The folder to name in ``PAQUO_QUPATH_DIR``; on macOS the ``.app``.
    version : str or None
        As in the name of QuPath's core jar, such as ``"0.5.1"``; None when no jar tells.
    """

    path: Path
    version: str | None

    def environment(self) -> dict[str, str]:
        """Variables that make paquo in a child process use this very installation."""
        return {"PAQUO_QUPATH_DIR": str(self.path)}

    @property
    def readers(self) -> frozenset[str]:
        """Extensions for images that lie in its folder, of "OpenSlide" and "Bio-Formats"."""
        folders = [self.path / app for app, _, _ in _LAYOUTS.values()]
        jars = [jar.name for folder in folders for jar in folder.glob("qupath-extension-*.jar")]
        return frozenset(
            name for word, name in _READERS.items() if any(f"-{word}-" in jar for jar in jars)
        )


def find_qupath(
    env: Mapping[str, str] | None = None, *, system: str | None = None
) -> QuPathInstall | None:
    """The installation that paquo would use, or None when there is none.

    Parameters
    ----------
    env : mapping, optional
        Environment variables; the process's own by default.
    system : {"Linux", "Darwin", "Windows"}, optional
        Whose folder layout to expect; this machine's by default.

    Notes
    -----
    Reads folder names and no more than one small TOML file; any thread may call it. A folder named
    by ``PAQUO_QUPATH_DIR`` that holds no QuPath gives None, not a search elsewhere: paquo would
    fail on it too. :func:`searched_places` tells the user what was looked at.
    """
    system = system or platform.system()
    for folder in _candidates(os.environ if env is None else env, system):
        if _is_install(folder, system):
            return QuPathInstall(folder, _version(folder, system))
    return None


def searched_places(env: Mapping[str, str] | None = None) -> list[Path]:
    """The folders that :func:`find_qupath` looks at or into, in order, there or not."""
    env = os.environ if env is None else env
    settings = _settings(env)
    if settings["qupath_dir"]:
        return [_path(settings["qupath_dir"])]
    places = _search_dirs(settings)
    conda = _conda_folder(settings, env, platform.system())
    if conda is not None:
        places.insert(0 if settings["qupath_prefer_conda"] else len(places), conda)
    return places


def _candidates(env: Mapping[str, str], system: str) -> Iterator[Path]:
    settings = _settings(env)
    if settings["qupath_dir"]:
        yield _path(settings["qupath_dir"])
        return
    conda = _conda_folder(settings, env, system)
    if conda is not None and settings["qupath_prefer_conda"]:
        yield conda
    wanted = re.compile(settings["qupath_search_dir_regex"])
    for place in _search_dirs(settings):
        yield from (folder for folder in _newest_first(place) if wanted.match(folder.name))
    if conda is not None and not settings["qupath_prefer_conda"]:
        yield conda


def _newest_first(place: Path) -> list[Path]:
    try:
        folders = [entry for entry in place.iterdir() if entry.is_dir()]
    except OSError:  # not there, not a folder, or not ours to read
        return []
    return sorted(folders, key=lambda folder: folder.name.lower(), reverse=True)


def _is_install(folder: Path, system: str) -> bool:
    app, runtime, jvm = _LAYOUTS.get(system, _LAYOUTS["Linux"])
    return (folder / app).is_dir() and (folder / runtime / jvm).is_file()


def _version(folder: Path, system: str) -> str | None:
    app = folder / _LAYOUTS.get(system, _LAYOUTS["Linux"])[0]
    for jar in sorted(app.glob("qupath-core-*.jar")):
        if match := _CORE_JAR.fullmatch(jar.name):
            return match[1]
    return None


def _conda_folder(settings: Mapping[str, Any], env: Mapping[str, str], system: str) -> Path | None:
    prefix = env.get("CONDA_PREFIX")
    if not prefix or not settings["qupath_search_conda"] or system not in _CONDA_FOLDERS:
        return None
    return Path(prefix) / _CONDA_FOLDERS[system]


def _search_dirs(settings: Mapping[str, Any]) -> list[Path]:
    places = settings["qupath_search_dirs"]
    return [_path(place) for place in ([places] if isinstance(places, str) else places)]


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no home folder is known
        return Path(text)


def _settings(env: Mapping[str, str]) -> dict[str, Any]:
    """Defaults, overridden by the nearest ``.paquo.toml``, overridden by the environment."""
    settings = dict(DEFAULTS)
    settings.update({key.lower(): value for key, value in _config_file().items()})
    for key in DEFAULTS:
        text = env.get(ENV_PREFIX + key.upper())
        if text is not None:
            settings[key] = _toml_or_text(text)
    return settings


def _config_file() -> dict[str, Any]:
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / ".paquo.toml"
        if path.is_file():
            return _read_toml(path)
    return {}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # paquo itself reports a broken file when it is started
        return {}


def _toml_or_text(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
