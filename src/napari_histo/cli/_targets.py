"""Which images are meant, and where each result goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from napari_histo.errors import ImageError, WriteError

__all__ = ["SUFFIX_OF_FORMAT", "expand", "file_of", "is_run_folder", "pair_up"]

SUFFIX_OF_FORMAT = {
    "geojson": ".geojson",
    "parquet": ".parquet",
    "labels": ".tif",
    "png": ".png",
    "csv": ".csv",
    "tsv": ".tsv",
}
#: Lines of a list that one message names.
_TOLD = 10


def pair_up(images: Sequence[Path], output: Path, format_: str | None) -> list[tuple[Path, Path]]:
    """Pairs of image and result.

    Parameters
    ----------
    images : sequence of Path
        Files, folders whose images are meant, and lists of them (``.txt``).
    output : Path
        A file for one image, or a run folder where it has no suffix; a folder, made if need be,
        for several.
    format_ : str or None
        A key of `SUFFIX_OF_FORMAT` for results in a folder.

    Raises
    ------
    ImageError, WriteError
        Nothing to do, or the results would overwrite an image or each other.
    """
    from napari_histo.store import format_of
    from napari_histo.store.write import make_folder

    found = [file for image in images for file in expand(image)]
    if images == found and len(found) == 1 and format_ is None and is_run_folder(output):
        return [_checked(found[0], output)]
    into_folder = output.is_dir() or format_of(output) is None
    if output.name.endswith(".ome.zarr"):
        into_folder = False
    if not into_folder:
        if len(found) > 1:
            raise WriteError(
                f"{len(found)} images cannot go into the one file {output}. Give a folder with -o, "
                "and with --format the kind of result."
            )
        if format_ not in (None, format_of(output)):
            raise WriteError(
                f"--format {format_} does not go with the ending of {output.name}. Leave one out."
            )
        return [_checked(found[0], output)]
    if output.suffix and not output.is_dir() and len(found) == 1:
        # Most likely a file with an ending that we do not write; saving says which we do.
        return [_checked(found[0], output)]
    suffix = SUFFIX_OF_FORMAT[format_ or "geojson"]
    targets = [output / f"{_stem(image)}{suffix}" for image in found]
    _refuse_doubles(targets)
    make_folder(output)
    return [_checked(*pair) for pair in zip(found, targets, strict=True)]


def is_run_folder(target: Path) -> bool:
    """True for what can only be the folder of a whole-slide run."""
    from napari_histo.store import format_of

    return format_of(target) is None and (target.is_dir() or not target.suffix)


def file_of(image: Path, folder: Path) -> Path | None:
    """The file of objects in a folder that bears an image's name, or a run folder's."""
    endings = (".geojson", ".geojson.gz", ".parquet", ".tif", ".ome.zarr", "/objects.parquet")
    names = (folder / f"{name}{end}" for name in (_stem(image), image.name) for end in endings)
    return next((path for path in names if path.exists() and path != image), None)


def expand(image: Path) -> list[Path]:
    """The images that a path of the command line stands for: itself, a folder's, or a list's."""
    if image.suffix.lower() == ".txt" and image.is_file():
        return [file for listed in _listed(image) for file in expand(listed)]
    if not image.is_dir() or image.suffix.lower() == ".zarr":
        return [image]
    from napari_histo.slides import SUFFIXES

    names = (p for p in image.iterdir() if not p.name.startswith("."))
    found = sorted(p for p in names if p.suffix.lower() in SUFFIXES)
    if not found:
        raise ImageError(
            f"The folder {image} holds no images ({', '.join(sorted(SUFFIXES))}). Check the path; "
            "folders within it are not looked through."
        )
    return found


def _listed(path: Path) -> list[Path]:
    """Paths of a list, one a line, relative to its folder; empty lines and ``#`` are left out."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ImageError(
            f"Cannot read the list {path} ({error}). It is a text in UTF-8 with one path a line."
        ) from error
    # Explorer's "Copy as path" puts quotes around it.
    texts = [(n, line.strip().strip('"')) for n, line in enumerate(lines, 1)]
    found = [(n, path.parent / Path(t).expanduser()) for n, t in texts if t and t[0] != "#"]
    missing = [f"  line {n}: {file}" for n, file in found if not file.exists()]
    if missing:
        more = [f"  and {len(missing) - _TOLD} more"] if len(missing) > _TOLD else []
        remedy = (
            "Paths are relative to the list's folder. Correct these lines, or put # before them."
        )
        lines = [f"{path} lists what does not exist:", *missing[:_TOLD], *more, remedy]
        raise ImageError("\n".join(lines))
    if not found:
        raise ImageError(f"The list {path} names no image; it needs one path a line.")
    if any(file.suffix.lower() == ".txt" for _, file in found):
        raise ImageError(f"The list {path} names another list. Put all images into one.")
    return [file for _, file in found]


def _stem(image: Path) -> str:
    """Name without its suffix, ``.ome.tif`` being one."""
    return image.stem.removesuffix(".ome")


def _refuse_doubles(targets: Sequence[Path]) -> None:
    # Some file systems take "A.tif" and "a.tif" for one file.
    twice = [name for name, n in Counter(t.name.casefold() for t in targets).items() if n > 1]
    if twice:
        raise WriteError(
            f"Several images would be written to {twice[0]} in {targets[0].parent}. Rename them, "
            "or take them one by one."
        )


def _checked(image: Path, target: Path) -> tuple[Path, Path]:
    if image.resolve() == target.resolve():
        raise WriteError(
            f"The result would overwrite the image {image}. Choose another name or folder with -o."
        )
    return image, target
