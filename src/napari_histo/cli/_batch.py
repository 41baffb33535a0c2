"""Many images into one folder: a bad one stops no other, and what is done stays done."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from napari_histo.cli._console import out, say_error
from napari_histo.cli._job import Done, Job
from napari_histo.cli._settings import ASKED, keep_settings
from napari_histo.cli._slide import folder_beside
from napari_histo.cli._summary import ImageRow, State, Summary, as_table
from napari_histo.core import CancelToken
from napari_histo.errors import (
    Cancelled,
    DocumentLockedError,
    HistoError,
    ObjectsFileError,
    WriteError,
)

__all__ = ["run_batch", "run_single"]


def run_single(job: Job, image: Path, target: Path, cancel: CancelToken) -> bool:
    """Segment one image into one file or run folder; True if all went well."""
    return _run(job, image, target, cancel).state is State.DONE


def run_batch(
    job: Job, targets: Sequence[tuple[Path, Path]], folder: Path, cancel: CancelToken
) -> bool:
    """Segment images into a folder, with ``summary.csv``; True if all went well.

    With `Job.resume` what is there and newer than its image is not done again.

    Raises
    ------
    RunFolderError
        What is there was made with other settings.
    WriteError
        Another process works there.
    Cancelled
    """
    with _held(folder):
        keep_settings(folder, job)
        summary = Summary(folder / "summary.csv", keep=job.resume)
        rows: list[ImageRow] = []
        for image, target in targets:
            row = _already_done(summary.rows.get(image.name), image, target) if job.resume else None
            try:
                row = row or _run(job, image, target, cancel, in_batch=True)
            except Cancelled:
                done = sum(row.state is not State.FAILED for row in rows)
                ended = f"{done} of {len(targets)} images done; stopped in {image.name}."
                out.print(f"{ended} --resume goes on with the others.", markup=False)
                raise
            summary.add(row)
            rows.append(row)
    failed = _tell(rows, summary)
    return failed == 0


def _tell(rows: Sequence[ImageRow], summary: Summary) -> int:
    """What came of it; returns how many images failed."""
    n = {state: sum(row.state is state for row in rows) for state in State}
    table = as_table(rows) if len(rows) > 1 else None
    if table is not None:
        out.print()
        out.print(table)
        out.print()
    before = f", {n[State.SKIPPED]} of them before" if n[State.SKIPPED] else ""
    done = n[State.DONE] + n[State.SKIPPED]
    out.print(f"{done} of {len(rows)} images done{before} -> {summary.path}")
    return n[State.FAILED]


def _run(
    job: Job, image: Path, target: Path, cancel: CancelToken, *, in_batch: bool = False
) -> ImageRow:
    """Segment an image; whatever is wrong with it is told, and is its row's message."""
    started = time.monotonic()
    try:
        done = job.run(image, target, cancel, in_batch=in_batch)
    except Cancelled:
        raise
    except HistoError as error:
        message = str(error)
    except Exception as error:
        if job.debug:
            raise
        message = _explained(error, image)
    else:
        return _told(done, image, time.monotonic() - started)
    say_error(message)
    seconds = time.monotonic() - started
    return ImageRow(image.name, State.FAILED, seconds=seconds, message=message)


def _told(done: Done, image: Path, seconds: float) -> ImageRow:
    found = f"{done.n_objects:,} objects -> {done.path}"
    out.print(f"{image.name}: {found} ({seconds:.1f} s)", markup=False)
    where = (done.area_mm2, done.area_of)
    return ImageRow(image.name, State.DONE, done.n_objects, *where, seconds, done.path.name)


def _explained(error: Exception, image: Path) -> str:
    """What to tell of an error that nobody foresaw; each library words a full memory anew."""
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return (
            f"Memory ran out while segmenting {image.name}. Close other programs, use smaller "
            "tiles (--tile 512), or --device cpu if it was the graphics card's."
        )
    return (
        f"Something unforeseen went wrong with {image.name} ({type(error).__name__}: {error}). "
        "Nothing was written for it. Run it again with --debug and send us what it prints."
    )


# -- going on ------------------------------------------------------------------------------------


def _already_done(before: ImageRow | None, image: Path, target: Path) -> ImageRow | None:
    """The row of an image that needs no work; None for others.

    Results appear whole or not at all, so one that is there is complete. It is done again where
    the image is newer, or where it stood there before these settings.
    """
    at = _changed(target)
    if at is None or at < max(_changed(image) or 0, _changed(target.parent / ASKED) or 0):
        return None
    if before is None or before.state is State.FAILED or before.objects is None:
        # Killed between the result and its line, so nobody remembers where it was looked for.
        n = _count(target)
        if n is None:
            return None
        before = ImageRow(image.name, State.DONE, n, result=target.name)
    shutil.rmtree(folder_beside(target), ignore_errors=True)
    out.print(f"{image.name}: already done, {before.objects:,} objects", markup=False)
    return replace(before, state=State.SKIPPED, message="already done")


def _changed(path: Path) -> float | None:
    with suppress(OSError):
        return path.stat().st_mtime
    return None


def _count(target: Path) -> int | None:
    """Objects of a result; None where it cannot be read."""
    from napari_histo.store import load_objects

    try:
        return len(load_objects(target))
    except ObjectsFileError:
        return None


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Only one process at a time works on a folder."""
    from napari_histo.store.lock import FileLock

    try:
        lock = FileLock(folder / ".lock", f"The folder {folder}")
    except DocumentLockedError as error:
        raise WriteError(
            f"Another process writes results to {folder}. Wait for it, or give another folder "
            "with -o."
        ) from error
    except OSError as error:
        raise WriteError(f"Cannot write to {folder}: {error.strerror}. Choose another.") from error
    try:
        for torso in folder.glob(".*.part*"):  # of a process that was killed
            with suppress(OSError):
                torso.unlink()
        yield
    finally:
        lock.release()
