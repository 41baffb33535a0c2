"""Models that describe themselves as bioimage.io asks: ``rdf.yaml``, formats 0.4 and 0.5.

Read is what running one needs, and nothing else; what cannot be run is refused in words.
Source of the format: github.com/bioimage-io/spec-bioimage-io.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_histo.core import ClassScheme, ModelInfo, Thresholds
from napari_histo.errors import ModelError
from napari_histo.models.foreign.words import (
    axes_of,
    axis_of,
    channel_names,
    channels_of,
    grid_of,
    halo_of,
    name_of,
    pixel_um_of,
    round_up,
)

__all__ = ["DESCRIPTIONS", "Description", "has_description", "read_description"]

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "model.yaml")
#: What can be run, the likelier one first, by the words of the format.
_WEIGHTS: Mapping[str, Literal["onnx", "torchscript"]] = {
    "onnx": "onnx",
    "torchscript": "torchscript",
}
#: Context of a pixel where the description says none, px.
_MARGIN_PX = 96

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
    n_rays : int
        Of stars.
    percentiles : (float, float) or None
        Of the image that become 0 and 1; None where mean and deviation become 0 and 1.
    each_channel : bool
        True where each channel has a mean of its own.
    sigmoid : bool
        True where the answer is still to be put through one.
    margin_px, align_px, least_px : int
        Context of a pixel; where tiles may start; smallest side.
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
    n_rays: int
    percentiles: tuple[float, float] | None
    each_channel: bool
    sigmoid: bool
    margin_px: int
    align_px: int
    least_px: int

    @property
    def least_answers(self) -> int:
        """Channels that the answer must have."""
        if self.answer != "stars":
            return 1 if self.answer == "foreground" else 2
        return 1 + self.n_rays + (0 if self.n_classes is None else self.n_classes + 1)


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
        axes, answer_axes = axes_of(one_in), axes_of(one_out)
        self._check_axes(axes)
        grid = grid_of(one_in, one_out)
        answer, n_rays, n_classes = self._answer(one_out, grid)
        percentiles, each_channel = self._preparation(one_in)
        align_px = max(self._side(one_in, letter)[1] for letter in "yx")
        least_px = max(self._side(one_in, letter)[0] for letter in "yx")
        return Description(
            self._info(kind, one_in),
            weights,
            sha256,
            axes,
            channels_of(one_in),
            answer,
            answer_axes,
            grid,
            n_classes,
            n_rays,
            percentiles,
            each_channel,
            self._sigmoid(one_out),
            int(self.own.get("margin_px") or round_up(max(halo_of(one_out), _MARGIN_PX), align_px)),
            int(self.own.get("align_px") or max(align_px, *grid)),
            least_px,
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
            text = f"{name_of(one)} {one.get('description', '')} {channel_names(one)}".lower()
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

    def _answer(
        self, output: Mapping[str, Any], grid: tuple[int, int]
    ) -> tuple[Answer, int, int | None]:
        """What it means, with the number of rays and classes."""
        channels = channels_of(output)
        stars: Mapping[str, Any] = self.config.get("stardist") or {}
        if stars:
            words = stars.get("config") or {}
            n_classes = words.get("n_classes")
            rays = int(words.get("n_rays", channels - 1))
            wanted = 1 + rays + (0 if n_classes is None else int(n_classes) + 1)
            if channels not in (0, wanted) or rays < 3:
                raise self._refuse(
                    f"it gives {channels} channels where StarDist's probability, {rays} rays and "
                    f"{n_classes or 0} classes make {wanted}."
                )
            return "stars", rays, None if n_classes is None else int(n_classes)
        if channels in (1, 2) and grid == (1, 1):
            return ("foreground" if channels == 1 else "foreground and border"), 0, None
        raise self._refuse(
            f"it gives {channels} channels for {grid[0]} x {grid[1]} px and does not say what they "
            "mean. Known are StarDist's, and for each pixel a probability of the foreground, "
            "perhaps with a second of the borders."
        )

    def _side(self, one_in: Mapping[str, Any], letter: str) -> tuple[int, int]:
        """Least size and step of a side."""
        shape, size = one_in.get("shape"), axis_of(one_in, letter).get("size")
        at = axes_of(one_in).index(letter)
        if isinstance(shape, Mapping):
            least, step = int(shape["min"][at]), int(shape["step"][at])
        elif isinstance(size, Mapping) and "min" in size:
            least, step = int(size["min"]), int(size.get("step", 1))
        else:
            raise self._refuse(
                f"it takes images of one size only ({shape or size}); wanted is one for any size, "
                "since objects at the edge of its window would be cut."
            )
        if step < 1:
            raise self._refuse(f"its side {letter} never changes ({least} px).")
        return least, step

    def _info(self, kind: str, one_in: Mapping[str, Any]) -> ModelInfo:
        own, words = self.own, self.words
        stars = self.config.get("stardist") or {}
        found = stars.get("thresholds") or own.get("thresholds") or {}
        size = own.get("pixel_size_um") or pixel_um_of(one_in)
        rgb = channels_of(one_in) == 3
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

    def _preparation(self, one_in: Mapping[str, Any]) -> tuple[tuple[float, float] | None, bool]:
        """Percentiles, and whether each channel is prepared by itself."""
        steps = [s for s in one_in.get("preprocessing") or [] if name_of(s) != "ensure_dtype"]
        if len(steps) != 1 or name_of(steps[0]) not in ("scale_range", "zero_mean_unit_variance"):
            names = ", ".join(map(name_of, steps)) or "nothing"
            raise self._refuse(
                f"its input is prepared by {names}; known are scale_range (percentiles) and "
                "zero_mean_unit_variance."
            )
        words = steps[0].get("kwargs") or {}
        if words.get("mode") == "fixed" or words.get("reference_tensor"):
            raise self._refuse(
                "its input is prepared with figures of other images, in their units. Known is what "
                "is taken from the image itself."
            )
        axes = words.get("axes") or ["channel"]
        each_channel = not any(axis in ("c", "channel") for axis in axes)
        if name_of(steps[0]) == "zero_mean_unit_variance":
            return None, each_channel
        low, high = words.get("min_percentile", 0), words.get("max_percentile", 100)
        return (float(low), float(high)), each_channel

    def _sigmoid(self, output: Mapping[str, Any]) -> bool:
        names = [name_of(s) for s in output.get("postprocessing") or []]
        if other := [n for n in names if n not in ("sigmoid", "ensure_dtype")]:
            raise self._refuse(f"its answer needs {', '.join(other)}; known is sigmoid.")
        return "sigmoid" in names
