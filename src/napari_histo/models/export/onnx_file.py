"""A StarDist model as ONNX, as QuPath's StarDist extension and ONNX Runtime run it.

What the extension (0.6, ``StarDist2D.java``) asks of a file that ends in ``.onnx``: OpenCV runs it
on one float image in NCHW order, with sides that are multiples of 64; one answer in NCHW order
holds the probability, then the rays, then as many classes as the script tells, background first;
the grid is 1 or 2. Normalisation, threshold and pixel size are the script's.
"""

from __future__ import annotations

import hashlib
import warnings
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_histo.errors import MissingDependencyError, ModelError
from napari_histo.models.export.description import describe_onnx
from napari_histo.models.stardist.net import StarDistNet, fold_batch_norm

if TYPE_CHECKING:
    from napari_histo.models.export.parts import Parts

__all__ = ["write_onnx"]

#: Understood by OpenCV 4.5 and newer, and by all of ONNX Runtime.
_OPSET = 13
_TEST_PX = 128
#: Largest difference from torch that is rounding: of a probability, or of a distance in px.
_MOST = 2e-3


def write_onnx(work: Path, parts: Parts, target: Path) -> float | None:
    """Write network, description, test images, card and script; gives the largest difference.

    Raises
    ------
    ModelError
        ONNX Runtime answers otherwise than torch.
    MissingDependencyError
        torch cannot write ONNX without the package ``onnx``.
    """
    if find_spec("onnx") is None:
        raise MissingDependencyError("Writing ONNX needs: pip install 'napari-histo[onnx]'")
    file = work / f"{parts.file_name}.onnx"
    image, answer = _convert(parts, file)
    np.save(work / "test_input.npy", image)
    np.save(work / "test_output.npy", answer)
    (work / "README.md").write_text(_readme(parts), encoding="utf-8")
    sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(work.iterdir())}
    describe_onnx(work / "rdf.yaml", parts, file.name, sums, opset=_OPSET)
    script = f"StarDist-{parts.file_name}.groovy"
    (work / script).write_text(_script(parts, target / file.name), encoding="utf-8")
    return _difference(file, image, answer)


def _convert(parts: Parts, file: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Write the network; gives an image (1, c, h, w) and torch's answer (1, k, h/g, w/g)."""
    config = parts.net.config
    net = _OneAnswer(fold_batch_norm(parts.net.float())).eval()
    side = -(-_TEST_PX // max(config.divisor)) * max(config.divisor)
    noise = np.random.default_rng(0).random((1, config.n_channel_in, side, 2 * side))
    image = torch.from_numpy(noise.astype(np.float32))
    sizes = {"input": {2: "height", 3: "width"}, "output": {2: "rows", 3: "columns"}}
    with torch.inference_mode(), warnings.catch_warnings():
        # The newer exporter needs another package, and writes what OpenCV does not read.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (image,),
            str(file),
            dynamo=False,
            opset_version=_OPSET,
            input_names=["input"],
            output_names=["output"],
            dynamic_axes=sizes,
        )
        answer: NDArray[np.float32] = net(image).numpy()
    return image.numpy(), answer


class _OneAnswer(nn.Module):
    """Probability, rays and class shares of a network in one array."""

    def __init__(self, net: StarDistNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        logits, dist, classes = self.net(image)
        parts = [logits.sigmoid(), dist, *([] if classes is None else [classes.softmax(1)])]
        return torch.cat(parts, dim=1)


def _difference(
    file: Path, image: NDArray[np.float32], answer: NDArray[np.float32]
) -> float | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found = session.run(None, {"input": image})[0]
    difference = float(np.abs(found - answer).max())
    if not difference <= _MOST:
        raise ModelError(
            f"ONNX Runtime answers otherwise than torch, by up to {difference:g}; nothing was "
            "written. Tell the maintainers which model it was."
        )
    return difference


def _readme(parts: Parts) -> str:
    info = parts.info
    size = "any" if info.pixel_size_um is None else f"{info.pixel_size_um:g} µm/px"
    return (
        f"# {info.name}\n\n{info.description}\n\nStarDist 2D as ONNX, at {size}. Licence of the "
        f"weights: {info.licence}.\n\nInput: one image in NCHW order, its percentiles "
        f"{parts.percentiles[0]:g} and {parts.percentiles[1]:g} over all channels together mapped "
        "to 0 and 1. Answer: probability, rays (px), then classes with the background first.\n"
    )


# -- the script ------------------------------------------------------------------------------------

_SCRIPT = Template(
    """\
// Nuclei by the model $name in QuPath, with its StarDist extension 0.5 or newer.
// $description
// Licence of the weights: $licence
//
// Select annotations, then run this script. Where the folder was moved, correct the path below.

import qupath.ext.stardist.StarDist2D
import qupath.lib.scripting.QP

def modelPath = "$path"

def normalisation = StarDist2D.imageNormalizationBuilder()
    .maxDimension(4096)
    .percentiles($low, $high)
    .perChannel(false)
    .build()

def stardist = StarDist2D
    .builder(modelPath)
    .preprocess(normalisation)
$options    .build()

def parents = QP.getSelectedObjects()
if (parents.isEmpty()) {
    QP.getLogger().error("Select annotations to look for nuclei in.")
    return
}
stardist.detectObjects(QP.getCurrentImageData(), parents)
stardist.close()
"""
)


def _script(parts: Parts, path: Path) -> str:
    info = parts.info
    options = [f".threshold({info.thresholds.prob:g})"]
    if info.pixel_size_um is not None:
        options.append(f".pixelSize({info.pixel_size_um:g})")
    if info.channels == "gray":
        options.append(".channels(0)  // the channel of the nuclei, by number or name")
    options += [".tileSize(1024)", f".padding({_padding(parts)})"]
    if parts.net.config.n_classes is not None:
        # The extension counts rays by the number of classes told here, the background among them.
        names = ["Ignore*", *_class_names(parts)]
        words = ", ".join(f"{i}: {_quoted(name)}" for i, name in enumerate(names))
        options.append(f".classificationNames([{words}])")
    options += [".measureShape()", ".measureIntensity()"]
    return _SCRIPT.substitute(
        name=_one_line(info.name),
        description=_one_line(info.description),
        licence=_one_line(info.licence),
        path=path.as_posix().replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$"),
        low=f"{parts.percentiles[0]:g}",
        high=f"{parts.percentiles[1]:g}",
        options="".join(f"    {option}\n" for option in options),
    )


def _padding(parts: Parts) -> int:
    return min(parts.net.config.margin_px, 128)


def _class_names(parts: Parts) -> list[str]:
    n_classes, names = parts.net.config.n_classes or 0, parts.info.classes.names
    return list(names) if len(names) == n_classes else [f"Class {i + 1}" for i in range(n_classes)]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _one_line(text: str) -> str:
    return " ".join(text.split())
