"""Models that describe themselves as bioimage.io asks: ``rdf.yaml``, formats 0.4 and 0.5.

Read is what running one needs, and nothing else; what cannot be run is refused in words.
Source of the format: github.com/bioimage-io/spec-bioimage-io.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_histo.core import ClassScheme, ModelInfo, Thresholds
from napari_histo.errors import ModelError

__all__ = ["DESCRIPTIONS", "Description", "has_description", "read_description"]

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "model.yaml")
#: What can be run, the likelier one first, by the words of the format.
_WEIGHTS: Mapping[str, Literal["onnx", "torchscript"]] = {
    "onnx": "onnx",
    "torchscript": "torchscript",
}
#: Context of a pixel where the description says none, px.
_MARGIN_PX = 96
_AXES_V5 = {"batch": "b", "channel": "c"}
_UM = {"micrometer": 1.0, "micrometre": 1.0, "um": 1.0, "µm": 1.0, "nanometer": 1e-3}

Answer = Literal["stars", "foreground", "foreground and border"]


@dataclass(frozen=True)
class Description:
    """What a description says of how a model is run.

    Attributes
    ----------
    info : ModelInfo
        Its family is ``onnx`` or ``torchscript``.
    weights : Path
    sha256 : str or None
        Of the weights, as the description says.
    axes : str
        Of the input, for example ``bcyx``.
    n_channels : int
    answer : {"stars", "foreground", "foreground and border"}
        Probability and rays (and classes), as of StarDist; or a probability for each pixel.
    answer_axes : str
    grid : (int, int)
        Pixels (y, x) of the image for one of the answer.
    n_classes : int or None
        Of stars, beside the background.
    percentiles : (float, float) or None
        Of the image that become 0 and 1; None where mean and deviation become 0 and 1.
    sigmoid : bool
        True where the answer is still to be put through one.
    margin_px, align_px : int
        Context of a pixel; where tiles may start.
    """

    info: ModelInfo
    weights: Path
    sha256: str | None
    axes: str
    n_channels: int
    answer: Answer
    answer_axes: str
    grid: tuple[int, int]
    n_classes: int | None
    percentiles: tuple[float, float] | None
    sigmoid: bool
    margin_px: int
    align_px: int


def has_description(folder: Path) -> bool:
    """True where one of the names that bioimage.io knows is there."""
    return any((folder / name).is_file() for name in DESCRIPTIONS)


def read_description(folder: Path) -> Description:
    """What the description in a folder says.

    Raises
    ------
    ModelError
        It is damaged, or of a model that cannot be run here.
    """
    path = next((folder / n for n in DESCRIPTIONS if (folder / n).is_file()), folder / "rdf.yaml")
    words = _words(path)
    try:
        return _Reader(path, words).read()
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ModelError(
            f"{path} is not a description of a model as bioimage.io asks: {type(error).__name__} "
            f"{error}. Download the model again."
        ) from error


def _words(path: Path) -> dict[str, Any]:
    import yaml

    try:
        words = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Download the model again.") from error
    if not isinstance(words, dict) or words.get("type", "model") != "model":
        raise ModelError(f"{path} does not describe a model. Choose the folder of a model.")
    return words


class _Reader:
    """Reads one description.

    Parameters
    ----------
    path : Path
    words : dict
        What it holds.
    """

    def __init__(self, path: Path, words: dict[str, Any]) -> None:
        self.path, self.words = path, words
        self.config: Mapping[str, Any] = words.get("config") or {}
        self.own: Mapping[str, Any] = self.config.get("napari_histo") or {}

    def read(self) -> Description:
        """All of it."""
        one_in, one_out = self._only("inputs"), self._outputs()
        kind, weights, sha256 = self._weights()
        axes, answer_axes = _axes(one_in), _axes(one_out)
        self._check_axes(axes)
        grid = _grid(one_out)
        answer, n_classes = self._answer(one_out)
        align_px = max(_step(one_in, axis) for axis in "yx")
        return Description(
            self._info(kind, one_in),
            weights,
            sha256,
            axes,
            _channels(one_in),
            answer,
            answer_axes,
            grid,
            n_classes,
            self._percentiles(one_in),
            self._sigmoid(one_out),
            int(self.own.get("margin_px") or max(_halo(one_out), _MARGIN_PX)),
            int(self.own.get("align_px") or max(align_px, *grid)),
        )

    def _refuse(self, why: str) -> ModelError:
        return ModelError(f"The model {self.words.get('name', self.path)!r} cannot be run: {why}")

    def _only(self, word: str) -> dict[str, Any]:
        found = self.words[word]
        if len(found) != 1:
            raise self._refuse(f"it has {len(found)} {word}; wanted is one.")
        one: dict[str, Any] = found[0]
        return one

    def _outputs(self) -> dict[str, Any]:
        for one in self.words["outputs"]:
            text = f"{_name(one)} {one.get('description', '')} {_channel_names(one)}".lower()
            if "affinit" in text:
                raise self._refuse(
                    "it gives affinities, from which other programs (for example plantseg, elf) "
                    "make objects. Choose one that gives probabilities or stars (StarDist)."
                )
        return self._only("outputs")

    def _weights(self) -> tuple[Literal["onnx", "torchscript"], Path, str | None]:
        entries = self.words["weights"]
        kind = next((k for k in _WEIGHTS if k in entries), None)
        if kind is None:
            raise self._refuse(
                f"its weights are {', '.join(entries)}; wanted are onnx or torchscript. Look for "
                "them where the model is published."
            )
        source = str(entries[kind]["source"])
        weights = self.path.parent / source
        inside = weights.resolve().is_relative_to(self.path.parent.resolve())
        if "://" in source or not inside or not weights.is_file():
            raise self._refuse(
                f"its weights {source} do not lie beside {self.path.name}. Download the whole "
                "package of the model and unpack it."
            )
        return _WEIGHTS[kind], weights, entries[kind].get("sha256")

    def _check_axes(self, axes: str) -> None:
        if sorted(axes) not in (list("bcxy"), list("bxy")):
            raise self._refuse(f"its input has the axes {axes!r}; wanted is one 2D image.")

    def _answer(self, output: Mapping[str, Any]) -> tuple[Answer, int | None]:
        channels = _channels(output)
        stars: Mapping[str, Any] = self.config.get("stardist") or {}
        if stars:
            words = stars.get("config") or {}
            n_classes = words.get("n_classes")
            rays = int(words.get("n_rays", channels - 1))
            wanted = 1 + rays + (0 if n_classes is None else int(n_classes) + 1)
            if channels not in (0, wanted):
                raise self._refuse(
                    f"it gives {channels} channels where StarDist's probability, {rays} rays and "
                    f"{n_classes} classes make {wanted}."
                )
            return "stars", n_classes
        if channels in (1, 2):
            return ("foreground" if channels == 1 else "foreground and border"), None
        raise self._refuse(
            f"it gives {channels} channels and does not say what they mean. Known are StarDist's, "
            "a probability of the foreground, and one with a second of the borders."
        )

    def _info(self, kind: str, one_in: Mapping[str, Any]) -> ModelInfo:
        own, words = self.own, self.words
        stars = self.config.get("stardist") or {}
        found = stars.get("thresholds") or own.get("thresholds") or {}
        size = own.get("pixel_size_um") or _pixel_um(one_in)
        rgb = _channels(one_in) == 3
        return ModelInfo(
            str(words["name"]),
            kind,
            None if size is None else float(size),
            bool(own.get("pixel_size_nominal", False)),
            own.get("channels", "rgb" if rgb else "gray"),
            ClassScheme.of(*own.get("classes", ["Nucleus"])),
            str(words.get("license") or "unknown"),
            str(words.get("id") or words.get("git_repo") or self.path.parent),
            self.words["weights"][kind].get("sha256"),
            thresholds=Thresholds(float(found.get("prob", 0.5)), float(found.get("nms", 0.4))),
            description=str(words.get("description", "")).strip(),
        )

    def _percentiles(self, one_in: Mapping[str, Any]) -> tuple[float, float] | None:
        steps = [s for s in one_in.get("preprocessing") or [] if _name(s) != "ensure_dtype"]
        if len(steps) != 1 or _name(steps[0]) not in ("scale_range", "zero_mean_unit_variance"):
            names = ", ".join(map(_name, steps)) or "nothing"
            raise self._refuse(
                f"its input is prepared by {names}; known are scale_range (percentiles) and "
                "zero_mean_unit_variance."
            )
        if _name(steps[0]) == "zero_mean_unit_variance":
            return None
        words = steps[0].get("kwargs") or {}
        return float(words.get("min_percentile", 0)), float(words.get("max_percentile", 100))

    def _sigmoid(self, output: Mapping[str, Any]) -> bool:
        names = [_name(s) for s in output.get("postprocessing") or []]
        if other := [n for n in names if n not in ("sigmoid", "ensure_dtype")]:
            raise self._refuse(f"its answer needs {', '.join(other)}; known is sigmoid.")
        return "sigmoid" in names


# -- words that both formats write in their own way ------------------------------------------------


def _name(words: Mapping[str, Any]) -> str:
    return str(words.get("id") or words.get("name") or "")


def _axes(tensor: Mapping[str, Any]) -> str:
    axes = tensor["axes"]
    if isinstance(axes, str):
        return axes
    return "".join(_letter(axis) for axis in axes)


def _letter(axis: Mapping[str, Any]) -> str:
    return _AXES_V5.get(str(axis.get("type")), str(axis.get("id", "?")))


def _axis(tensor: Mapping[str, Any], letter: str) -> Mapping[str, Any]:
    """Words of an axis of format 0.5; none of 0.4."""
    axes = tensor["axes"]
    if isinstance(axes, str):
        return {}
    return next((a for a in axes if _letter(a) == letter), {})


def _channel_names(tensor: Mapping[str, Any]) -> str:
    return " ".join(map(str, _axis(tensor, "c").get("channel_names") or []))


def _channels(tensor: Mapping[str, Any]) -> int:
    """How many; 1 where there is no such axis, 0 where nobody says."""
    axes = _axes(tensor)
    if "c" not in axes:
        return 1
    if names := _axis(tensor, "c").get("channel_names"):
        return len(names)
    shape = tensor.get("shape")
    if isinstance(shape, Mapping):
        if "min" in shape:
            return int(shape["min"][axes.index("c")])
        return int(2 * shape["offset"][axes.index("c")])
    return int(shape[axes.index("c")]) if isinstance(shape, Sequence) else 0


def _step(tensor: Mapping[str, Any], letter: str) -> int:
    """Sides must grow by this."""
    axes, shape = _axes(tensor), tensor.get("shape")
    if isinstance(shape, Mapping) and "step" in shape:
        return max(1, int(shape["step"][axes.index(letter)]))
    if isinstance(shape, Sequence):
        return max(1, int(shape[axes.index(letter)]))
    size = _axis(tensor, letter).get("size")
    if isinstance(size, Mapping):
        return max(1, int(size.get("step", 1)))
    return max(1, int(size or 1))


def _grid(output: Mapping[str, Any]) -> tuple[int, int]:
    y, x = (_pixels_a_cell(output, letter) for letter in "yx")
    return y, x


def _pixels_a_cell(output: Mapping[str, Any], letter: str) -> int:
    shape = output.get("shape")
    if isinstance(shape, Mapping) and "scale" in shape:
        return max(1, round(1 / float(shape["scale"][_axes(output).index(letter)])))
    return max(1, round(float(_axis(output, letter).get("scale", 1.0))))


def _halo(output: Mapping[str, Any]) -> int:
    if halo := output.get("halo"):
        return int(max(halo))
    return max(int(_axis(output, letter).get("halo") or 0) for letter in "yx")


def _pixel_um(one_in: Mapping[str, Any]) -> float | None:
    axis = _axis(one_in, "x")
    unit = _UM.get(str(axis.get("unit")))
    return None if unit is None or "scale" not in axis else float(axis["scale"]) * unit
