"""Folders of models of other programs: ONNX or TorchScript beside a bioimage.io description."""

from __future__ import annotations

import hashlib
import json
import warnings

import pytest
import torch
import yaml
from torch import nn

from napari_histo.core import Thresholds
from napari_histo.models.export.export import export_model
from napari_histo.models.stardist.files import save_shipped
from support.stardist_nets import eager_net


class Foreground(nn.Module):
    """Probability that a pixel is of a bright disc, by a blur; and of its border."""

    def __init__(self, n_answers=1, *, logits=False):
        super().__init__()
        self.n_answers, self.logits = n_answers, logits
        self.blur = nn.AvgPool2d(3, 1, 1)
        self.wide = nn.MaxPool2d(3, 1, 1)

    def forward(self, x):
        logit = 20 * (self.blur(x) - 0.5)
        maps = [logit]
        if self.n_answers == 2:
            inside = logit.sigmoid()
            edge = self.wide(inside) + self.wide(-inside) - 0.5
            maps.append(10 * edge)
        answer = torch.cat(maps, dim=1)
        return answer if self.logits else answer.sigmoid()


def edit(folder, change):
    """Let `change` alter the words of the description."""
    words = yaml.safe_load((folder / "rdf.yaml").read_text())
    change(words)
    (folder / "rdf.yaml").write_text(yaml.safe_dump(words))
    return folder


def stars_onnx(folder, **words):
    """What this package exports, of a small StarDist."""
    pytest.importorskip("onnx")
    net = eager_net(**words)
    own = folder.with_name(f"{folder.name}-own")
    save_shipped(own, net, Thresholds(0.5, 0.4))
    gray, n_classes = net.config.n_channel_in == 1, net.config.n_classes or 1
    card = {
        "pixel_size_um": 0.5,
        "licence": "CC0-1.0",
        "channels": "gray" if gray else "rgb",
        "classes": [f"Class {i}" for i in range(n_classes)],
    }
    (own / "card.json").write_text(json.dumps(card))
    export_model(str(own), folder, "onnx")
    return folder


def as_script(folder):
    """The same network as TorchScript, in place of ONNX."""
    from napari_histo.models.export.onnx_file import _OneAnswer
    from napari_histo.models.stardist.files import load_shipped
    from napari_histo.models.stardist.net import fold_batch_norm

    net = fold_batch_norm(load_shipped(folder.with_name(f"{folder.name}-own"))[0])
    example = torch.zeros(1, net.config.n_channel_in, 64, 64)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(_OneAnswer(net), example), folder / "net.pt")
    sha256 = hashlib.sha256((folder / "net.pt").read_bytes()).hexdigest()

    def change(words):
        words["weights"] = {"torchscript": {"source": "net.pt", "sha256": sha256}}

    return edit(folder, change)


def maps_onnx(folder, *, n_answers=1, logits=False):
    """A description of format 0.4, as of the models of bioimage.io's first years."""
    pytest.importorskip("onnx")
    folder.mkdir(parents=True)
    net = Foreground(n_answers, logits=logits)
    sizes = {"x": {2: "h", 3: "w"}, "y": {2: "h", 3: "w"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(1, 1, 32, 32),),
            str(folder / "net.onnx"),
            dynamo=False,
            opset_version=13,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=sizes,
        )
    step = {"min": [1, 1, 16, 16], "step": [0, 0, 16, 16]}
    scale = {"min_percentile": 1, "max_percentile": 99.8, "mode": "per_sample", "axes": "xyc"}
    same = {"reference_tensor": "x", "scale": [1, 1, 1, 1], "offset": [0, n_answers / 2, 0, 0]}
    steps = [{"name": "sigmoid"}] if logits else []
    words = {
        "format_version": "0.4.9",
        "type": "model",
        "name": "maps",
        "description": "For tests.",
        "license": "CC0-1.0",
        "inputs": [
            {
                "name": "x",
                "axes": "bcyx",
                "shape": step,
                "data_type": "float32",
                "preprocessing": [{"name": "scale_range", "kwargs": scale}],
            }
        ],
        "outputs": [
            {"name": "y", "axes": "bcyx", "shape": same, "halo": [0, 0, 8, 8]}
            | {"postprocessing": steps}
        ],
        "weights": {"onnx": {"source": "net.onnx"}},
    }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(words))
    return folder
