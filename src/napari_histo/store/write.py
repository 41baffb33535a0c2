"""Writing that leaves a whole result or none."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_histo.errors import WriteError
from napari_histo.store.replacing import Strangers, everything

__all__ = ["atomic_path", "check_writable", "make_folder", "put_in_place"]

#: What an errno means for the person in front of the screen, and what to do about it.
_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space or choose another disk",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another disk",
    errno.EFBIG: "the file grew larger than this file system allows; choose another disk",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EACCES: "permission was denied; choose a folder that you may write to, and close the "
    "file where another program has it open",
    errno.EPERM: "the system does not permit it; choose a folder that you may write to",
    errno.EEXIST: "a file of that name stands there; choose another name",
    errno.ENOTEMPTY: "a folder with other files in it stands there; choose a new folder",
    errno.ENOENT: "its folder does not exist; create it or choose another",
    errno.ENOTDIR: "a part of its path is a file, not a folder; choose another folder",
    errno.EIO: "the disk reported a fault; choose another disk and check this one",
}

#: Names of strangers in a folder that a message lists.
_MOST_NAMES = 3


@contextmanager
def atomic_path(
    target: Path | str, *, folder: bool = False, strangers: Strangers = everything
) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends without an error.

    The path lies beside `target` (one file system, so that the last step is a rename) under a
    hidden name that ends with the same suffixes. On any error, Ctrl+C among them, it is removed and
    whatever stood at `target` is untouched.

    Parameters
    ----------
    target : path
        File (or folder) to make; one that exists is replaced, but a folder only where `strangers`
        finds none in it. A symbolic link is followed.
    folder : bool
        True to get an empty folder instead of a path for a file. An existing folder is first moved
        aside, so that for an instant no folder stands at `target`.
    strangers : callable
        Says what in an existing folder is not of the kind that is written, see
        `napari_histo.store.replacing`; by default only an empty folder is replaced.

    Raises
    ------
    WriteError
        For every OSError that concerns the output: no space, no permission, a read-only disk, a
        missing folder, a folder of other files. An OSError about another file passes unchanged.
    """
    final = Path(os.path.realpath(target))
    try:
        work = _reserve(final, folder, strangers)
    except OSError as error:
        raise _write_error(target, error) from error
    try:
        yield work
        _sync(work)
        _replace(work, final)
        _sync(final.parent)
    except OSError as error:
        if _is_about_another_file(error, work, final):
            raise
        raise _write_error(target, error) from error
    finally:
        _remove(work)


def put_in_place(work: Path, target: Path | str) -> None:
    """Make the finished file `work` become `target`; it may come from another disk.

    Raises
    ------
    WriteError
        As of `atomic_path`; `work` is still there.
    """
    final = Path(os.path.realpath(target))
    try:
        _sync(work)
        work.replace(final)
        _sync(final.parent)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise _write_error(target, error) from error
        with atomic_path(final) as copy, work.open("rb") as source, copy.open("wb") as sink:
            shutil.copyfileobj(source, sink)
        _remove(work)


def check_writable(
    target: Path | str, *, folder: bool = False, strangers: Strangers = everything
) -> None:
    """Raise WriteError now, before long work, where `atomic_path` would after it."""
    final = Path(os.path.realpath(target))
    try:
        if folder:
            _remove(_reserve(final, folder, strangers))
        else:
            _check_kind(final, folder, strangers)
            # Without a name: a process that is killed here leaves nothing behind.
            with tempfile.TemporaryFile(dir=final.parent):
                pass
    except OSError as error:
        raise _write_error(target, error) from error


def make_folder(path: Path | str) -> Path:
    """A folder for results, made with its parents if need be; WriteError where it cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _write_error(path, error) from error
    return Path(path)


def _check_kind(final: Path, folder: bool, strangers: Strangers) -> None:
    """Raise OSError where what stands at `final` must not be replaced."""
    if final.exists() and final.is_dir() != folder:
        kind = "folder" if final.is_dir() else "file"
        raise OSError(errno.EISDIR, f"a {kind} of that name stands there; choose another name")
    if folder and final.is_dir() and (found := strangers(final)):
        told = f"a folder with other files in it stands there: {_some(found)}; choose a new folder"
        raise OSError(errno.EISDIR, told)


def _reserve(final: Path, folder: bool, strangers: Strangers) -> Path:
    """An empty file or folder beside `final`; proof that one can be made there."""
    _check_kind(final, folder, strangers)
    prefix, suffix = f".{final.name.split('.')[0]}-", f".part{''.join(final.suffixes[-2:])}"
    if folder:
        work = Path(tempfile.mkdtemp(suffix, prefix, final.parent))
        work.chmod(0o777 & ~_umask())
        return work
    handle, name = tempfile.mkstemp(suffix, prefix, final.parent)
    os.close(handle)
    Path(name).chmod(0o666 & ~_umask())
    return Path(name)


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _umask() -> int:
    # The process's mask can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    """Push a file to the disk, so that a full one is noticed before the old file is replaced.

    Folders are synchronised where the system can; the files in them are left to it, for a store of
    10,000 chunks would wait for minutes.
    """
    if path.is_dir():
        with suppress(OSError):
            _fsync(path, os.O_RDONLY)
        return
    _fsync(path, os.O_RDWR)


def _fsync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(work: Path, final: Path) -> None:
    if not final.is_dir():
        work.replace(final)
        return
    aside = Path(tempfile.mkdtemp(".old", ".", final.parent)) / final.name
    final.replace(aside)
    try:
        work.replace(final)
    except OSError:
        aside.replace(final)
        raise
    finally:
        _remove(aside.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _is_about_another_file(error: OSError, work: Path, final: Path) -> bool:
    """True for, say, an image that could not be read while objects were written."""
    if not isinstance(error.filename, str | bytes | os.PathLike):
        return False
    named = Path(os.path.realpath(os.fsdecode(error.filename)))
    ours = (work, final, final.parent)
    return named not in ours and not {work, final} & set(named.parents)


def _write_error(target: Path | str, error: OSError) -> WriteError:
    reason = _REMEDIES.get(_errno_of(error)) or error.strerror or str(error)
    return WriteError(f"Cannot write {target}: {reason}. Nothing was changed there.")


def _errno_of(error: OSError) -> int:
    """Number of an error; libraries in C++ put it in the text alone."""
    if error.errno is not None:
        return error.errno
    named = re.search(r"\[errno (\d+)\]", str(error), re.IGNORECASE)
    return int(named.group(1)) if named else 0
