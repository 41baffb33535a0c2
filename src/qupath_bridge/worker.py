# SPDX-License-Identifier: GPL-3.0-or-later
"""The JVM's own process: ``python -m qupath_bridge.worker``.

A JVM cannot be started twice in one process, and a crash of native code would take napari along.
So Java lives here, and :mod:`qupath_bridge.client` talks to it: one JSON line a command on stdin,
one JSON line an event on stdout, objects by folders of arrays (:mod:`qupath_bridge.packet`).

Commands ``{"id": 7, "command": NAME, "arguments": {...}}``:

- ``read``: ``data`` (path of a ``data.qpdata``), ``classes``, ``folder`` to fill
- ``count``: ``data``; how many objects it holds, and all their ids combined by exclusive or
- ``marks``: ``data``; the marks of writes that it is based on
- ``write``: ``project``, ``entry``, ``data``, ``folder`` to read, ``removed`` (ids), ``mark`` of
  this write, ``new_data`` and ``new_summary``, the files to make. Nothing else in the project is
  touched.
- ``add``: ``project``, ``image``, ``type`` (a name of QuPath's ``ImageType``, or nothing); puts the
  images of a file into the project, which is made where there is none

Events: ``{"event": "ready", "qupath": "0.5.1", ...}`` once; then for a command any number of
``{"id": 7, "event": "progress", "message": ...}`` and last ``"done"`` with ``result`` or
``"error"`` with ``kind`` (the Java class) and ``message``. The process ends with its stdin.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, TextIO

from platformdirs import user_cache_dir

_SCRIPTS = (
    "packet",
    "outlines",
    "build",
    "read",
    "entry",
    "project",
)  # in the order of their needs


class Worker:
    """Commands on a running JVM.

    Parameters
    ----------
    tell : callable
        Takes a line on what is going on, for the user.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        from paquo import java  # starts the JVM

        backend: Any = java
        self._tell = tell
        self._class = backend.JClass
        self.version = str(backend.qupath_version)
        _quiet(self._class)
        self._entry, self._builder, self._images = self._compiled("Entry", "Builder", "Images")

    def _compiled(self, *wanted: str) -> list[Any]:
        """Classes of our Groovy files; the compiler ships with QuPath.

        Compiling takes longer than all else of a start, so the result is kept in the user's cache
        for these very files, this QuPath and this version of Groovy.
        """
        texts = [_script(name) for name in _SCRIPTS]
        groovy = str(self._class("groovy.lang.GroovySystem").getVersion())
        key = hashlib.sha256("\0".join([self.version, groovy, *texts]).encode()).hexdigest()[:16]
        folder = Path(user_cache_dir("napari-histo", appauthor=False)) / "qupath-bridge" / key
        if not folder.is_dir():
            folder = self._compile(texts, folder)
        place = self._file(str(folder)).toURI().toURL()
        parent = self._class("groovy.lang.GroovyClassLoader")()
        urls = self._class("java.net.URL")[:]([place])
        loader = self._class("java.net.URLClassLoader")(urls, parent)
        return [self._class(loader.loadClass(name)) for name in wanted]

    def _compile(self, texts: list[str], folder: Path) -> Path:
        """Compile into `folder`, whole or not at all; into a passing one where that cannot be."""
        self._tell("Compiling scripts, once for this QuPath")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
        except OSError:
            work = folder = Path(tempfile.mkdtemp(prefix="qupath-bridge-"))
        settings = self._class("org.codehaus.groovy.control.CompilerConfiguration")()
        settings.setTargetDirectory(self._file(str(work)))
        unit = self._class("org.codehaus.groovy.control.CompilationUnit")(settings)
        for name, text in zip(_SCRIPTS, texts, strict=True):
            unit.addSource(f"{name}.groovy", text)
        unit.compile()
        if work == folder:
            return folder
        try:
            return work.rename(folder)
        except OSError:  # another worker was first
            return folder if folder.is_dir() else work

    def read(self, data: str, classes: list[dict[str, Any]], folder: str) -> dict[str, Any]:
        """Objects of a data file into arrays."""
        self._tell("Reading objects")
        self._colour(classes)
        return _plain(self._entry.read(self._file(data), self._file(folder)))

    def count(self, data: str) -> dict[str, Any]:
        """How many objects a data file holds."""
        self._tell("Counting objects")
        return _plain(self._entry.count(self._file(data)))

    def marks(self, data: str) -> dict[str, Any]:
        """Marks of writes that a data file is based on."""
        self._tell("Looking who saved last")
        return _plain(self._entry.marks(self._file(data)))

    def write(
        self,
        *,
        project: str,
        entry: str,
        data: str,
        folder: str,
        removed: list[str],
        mark: str,
        new_data: str,
        new_summary: str,
    ) -> dict[str, Any]:
        """The entry's data file with objects changed by id, beside the old one."""
        self._tell("Opening the image's data")
        image = self._image_data(project, entry, data)
        try:
            self._tell("Building objects")
            changes = [self._file(data), self._file(folder), self._strings(removed)]
            report = _plain(self._entry.change(image, *changes))
            self._entry.mark(image, mark)
            self._tell("Saving objects")
            saved = self._entry.save(image, self._file(new_data), self._file(new_summary))
            return {**report, **_plain(saved)}
        finally:
            image.getServer().close()

    def add(self, project: str, image: str, type: str) -> dict[str, Any]:
        """The images of a file as entries of a project."""
        self._tell("Opening the image")
        answer = _plain(self._images.add(self._file(project), self._file(image), type))
        return {**answer, "images": json.loads(answer["images"])}

    def _image_data(self, project: str, entry_id: str, data: str) -> Any:
        loaded = self._class("qupath.lib.projects.ProjectIO").loadProject(
            self._file(project), self._class("java.awt.image.BufferedImage")
        )
        for entry in loaded.getImageList():
            if str(entry.getID()) == entry_id:
                full_id = f"{self._file(project).getAbsolutePath()}::{entry_id}"
                return self._entry.load(entry, self._file(data), full_id)
        raise LookupError(f"The project has no image with the id {entry_id}.")

    def _colour(self, classes: list[dict[str, Any]]) -> None:
        """The project's colours; a data file brings its own for classes not named there."""
        array = self._class("java.util.ArrayList")()
        for item in classes:
            entry = self._class("java.util.HashMap")()
            entry.put("name", item["name"])
            entry.put("argb", self._class("java.lang.Integer")(item["argb"]))
            array.add(entry)
        self._builder.pathClasses(array)

    def _strings(self, texts: list[str]) -> Any:
        """A Java list by one call, for there may be a million ids."""
        return self._class("java.util.Arrays").asList(
            self._class("java.lang.String")("\n".join(texts)).split("\n") if texts else []
        )

    def _file(self, path: str) -> Any:
        return self._class("java.io.File")(path)


def _script(name: str) -> str:
    place = resources.files("qupath_bridge").joinpath("scripts", "bulk", f"{name}.groovy")
    return place.read_text(encoding="utf-8")


def _plain(answer: Any) -> dict[str, Any]:
    """A Java map of numbers and text."""
    values = {str(item.getKey()): item.getValue() for item in answer.entrySet()}
    return {k: int(v) if hasattr(v, "intValue") else str(v) for k, v in values.items()}


def _quiet(java_class: Any) -> None:
    """QuPath logs a line an object here and there: only warnings are kept."""
    factory = java_class("org.slf4j.LoggerFactory").getILoggerFactory()
    try:
        level = java_class("ch.qos.logback.classic.Level")
        factory.getLogger("ROOT").setLevel(level.WARN)
    except (TypeError, AttributeError):  # another logger is on the class path
        print("Java's log level stays as it is.", file=sys.stderr)


def _protocol_stream() -> TextIO:
    """The real stdout; whatever Java or a library prints goes to stderr from here on."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return stream


def serve(commands: TextIO, events: TextIO) -> None:
    """Answer commands until there are no more."""
    current: list[Any] = [None]

    def send(event: str, **values: Any) -> None:
        events.write(json.dumps({"id": current[0], "event": event, **values}) + "\n")
        events.flush()

    worker = Worker(lambda message: send("progress", message=message))
    # JPype runs a full Python collection for each one of Java's: free with nothing to look at.
    gc.collect()
    gc.freeze()
    gc.disable()
    commands_of: dict[str, Callable[..., dict[str, Any]]] = {
        "read": worker.read,
        "count": worker.count,
        "marks": worker.marks,
        "write": worker.write,
        "add": worker.add,
    }
    send("ready", qupath=worker.version, pid=os.getpid())
    for line in commands:
        request = json.loads(line)
        current[0] = request["id"]
        try:
            send("done", result=commands_of[request["command"]](**request["arguments"]))
        except Exception as error:  # a Java exception of any kind is an answer, too
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            send("error", kind=type(error).__name__, message=str(error))


def main() -> int:
    """Run the process."""
    events = _protocol_stream()
    try:
        serve(sys.stdin, events)
    except Exception as error:  # no QuPath, no Java, or scripts that this version does not take
        events.write(json.dumps({"event": "failed", "message": str(error)}) + "\n")
        events.flush()
        raise
    events.close()
    # Java keeps threads that a normal end would wait for.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
