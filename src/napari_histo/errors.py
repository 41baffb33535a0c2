"""One tree of errors: a message says what was wrong, the value, what is allowed, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "BridgeError",
    "Cancelled",
    "ClusterError",
    "DocumentLockedError",
    "EditError",
    "HistoError",
    "ImageError",
    "LearningError",
    "MeasurementError",
    "MissingDependencyError",
    "ModelError",
    "ModelUnavailableError",
    "NoReaderError",
    "ObjectsFileError",
    "PixelSizeUnknownError",
    "RunFolderError",
    "StainError",
    "TargetChangedError",
    "WriteError",
]


class HistoError(Exception):
    """Base of every error that this suite raises on purpose; its text is fit for a user's eyes."""


class ImageError(HistoError):
    """An image cannot be read, or is not an image that the step can work on."""


class NoReaderError(ImageError):
    """No reader took a file.

    Parameters
    ----------
    path : path
        The file that was offered.
    declined : sequence of (str, str)
        Name of each reader that was tried, and why it declined.
    """

    def __init__(self, path: Path | str, declined: Sequence[tuple[str, str]]) -> None:
        self.path = Path(path)
        self.declined = tuple(declined)
        tried = "\n".join(f"  - {name}: {reason}" for name, reason in self.declined)
        super().__init__(
            f"No reader could open {path}.\n{tried}\n"
            "Check that the file is complete and is an image (TIFF, OME-TIFF, SVS, NDPI, MRXS, "
            "PNG or JPEG), then try again."
        )


class PixelSizeUnknownError(ImageError):
    """A step needs the pixel size and the image does not carry one."""


class ModelError(HistoError):
    """A model's files are damaged, of another architecture, or do not fit the image."""


class ModelUnavailableError(ModelError):
    """A model is known but not on this machine, and could not be fetched."""


class ObjectsFileError(HistoError):
    """A file of objects (GeoJSON, Parquet, labels) cannot be read."""


class RunFolderError(HistoError):
    """The folder of a whole-slide run is another's, was asked for otherwise, or is damaged."""


class LearningError(HistoError):
    """A learning project is damaged, or lacks what a step needs."""


class StainError(HistoError):
    """Stain vectors that separate nothing, or stains that a slide does not show."""


class MeasurementError(HistoError):
    """A measurement that is not there, or values and thresholds that tell nothing."""


class EditError(HistoError):
    """An edit does not fit the objects that there are."""


class WriteError(HistoError):
    """A result cannot be written; whatever stood at the target before is untouched."""


class TargetChangedError(WriteError):
    """Another program changed the file since it was opened; saving would undo its work."""


class DocumentLockedError(HistoError):
    """The objects of a file are being edited in another window."""


class ClusterError(HistoError):
    """A Dask cluster cannot be reached, or lost its workers."""


class BridgeError(HistoError):
    """A QuPath project cannot be read or changed safely."""


class MissingDependencyError(HistoError):
    """An optional package is not installed; the message says how to install it."""


class Cancelled(HistoError):  # noqa: N818 - a request of the user, not a failure
    """The user cancelled."""
