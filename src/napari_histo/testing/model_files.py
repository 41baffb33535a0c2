"""What files of models must bear, whatever the family: damage is told, code is never run.

Examples
--------
>>> class TestMyFiles(ModelFilesConformance):  # doctest: +SKIP
...     def save(self, folder):
...         my_model().save(folder / "mine")
...         return folder / "mine", folder / "mine" / "weights.bin"
...
...     def load(self, path):
...         return load_my_model(path)
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_histo.errors import ModelError

__all__ = ["BOMBS", "HARMS", "ModelFilesConformance"]

#: What can befall a file of weights.
HARMS: dict[str, Callable[[Path], object]] = {
    "gone": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "cut off": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "only its head": lambda file: file.write_bytes(file.read_bytes()[:64]),
    "garbage": lambda file: file.write_bytes(b"no weights " * 500),
    "a web page": lambda file: file.write_text("<!DOCTYPE html><html>Sign in</html>"),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
}


class _Bomb:
    """Unpickled carelessly, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self.mark, "w")


def _pickled(mark: Path) -> bytes:
    return pickle.dumps({"weights": _Bomb(mark)}, protocol=2)


def _torch_archive(mark: Path) -> bytes:
    """The layout of ``torch.save``: a zip whose ``data.pkl`` is unpickled."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(mark))
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


#: Files that run code when they are unpickled without care.
BOMBS: dict[str, Callable[[Path], bytes]] = {
    "plain pickle": _pickled,
    "torch archive": _torch_archive,
}


class ModelFilesConformance:
    """Subclass, give `save` and `load`, and pytest does the rest."""

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write a small model into `folder`: what `load` takes, and the file of its weights."""
        raise NotImplementedError

    def load(self, path: Path) -> object:
        """The model at a path, on the processor."""
        raise NotImplementedError

    def test_what_was_saved_is_loaded(self, tmp_path: Path) -> None:
        path, weights = self.save(tmp_path)
        assert weights.is_file()
        assert self.load(path) is not None

    @pytest.mark.parametrize("harm", HARMS)
    def test_damaged_weights_are_told_by_name(self, tmp_path: Path, harm: str) -> None:
        path, weights = self.save(tmp_path)
        HARMS[harm](weights)
        with pytest.raises(ModelError) as told:
            self.load(path)
        assert weights.name in str(told.value) or str(path) in str(told.value)

    @pytest.mark.parametrize("bomb", BOMBS)
    def test_code_in_weights_is_never_run(self, tmp_path: Path, bomb: str) -> None:
        path, weights = self.save(tmp_path)
        mark = tmp_path / "code was run"
        weights.write_bytes(BOMBS[bomb](mark))
        with pytest.raises(ModelError):
            self.load(path)
        assert not mark.exists()

    def test_a_bomb_goes_off_where_nobody_takes_care(self, tmp_path: Path) -> None:
        """The test above can fail."""
        mark = tmp_path / "code was run"
        pickle.loads(_pickled(mark))
        assert mark.exists()

    def test_a_path_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError):
            self.load(tmp_path / "nothing here")
