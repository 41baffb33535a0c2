"""Where a training starts: a model's folder, a model by name, or a network without weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from napari_histo.core import ClassScheme, ModelInfo
from napari_histo.errors import ModelError
from napari_histo.learning.course.card import learned_from
from napari_histo.learning.course.start import ObjectStart
from napari_histo.learning.training import Example
from napari_histo.models.registry import get_info, model_folder
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS, read_info, read_percentiles
from napari_histo.models.stardist.config import StarDistConfig
from napari_histo.models.stardist.files import load_shipped, load_stock
from napari_histo.models.stardist.net import StarDistNet

__all__ = ["Start", "small_config"]

_FAMILY = "stardist"
_PERCENTILES = (1.0, 99.8)


def small_config(n_channels: int = 3, n_classes: int | None = None) -> StarDistConfig:
    """A network of 0.36 million parameters that learns in minutes on a processor."""
    return StarDistConfig(
        grid=(2, 2),
        n_channel_in=n_channels,
        n_classes=n_classes,
        unet_n_depth=3,
        unet_n_filter_base=16,
        unet_batch_norm=True,
        net_conv_after_unet=64,
    )


class Start(ObjectStart[StarDistNet]):
    """What training begins with."""

    def described(self, name: str, examples: Sequence[Example]) -> Start:
        """Under the new model's name and description."""
        text = learned_from(examples, self.parent)
        return replace(self, info=replace(self.info, name=name, description=text))

    @classmethod
    def of(
        cls, parent: Path | str | StarDistConfig, examples: Sequence[Example], seed: int, um: float
    ) -> Start:
        """From a folder, a model's name, or (without weights) a configuration.

        Parameters
        ----------
        parent : path, str or StarDistConfig
        examples : sequence of Example
            Say whether a new network sees colours.
        seed : int
            Of a new network's weights.
        um : float
            Pixel size of a new network, µm.

        Raises
        ------
        ModelError
            No such model, or one of another family.
        """
        if isinstance(parent, StarDistConfig):
            return cls._fresh(parent, examples, seed, um)
        info = read_info(Path(parent)) if Path(parent).is_dir() else get_info(str(parent))
        if info.family != _FAMILY:
            raise ModelError(
                f"The model {info.name!r} is of the family {info.family!r}; training goes on from "
                f"a StarDist model. Choose one, for example 'he-nuclei', or a folder of your own."
            )
        folder = Path(parent) if Path(parent).is_dir() else model_folder(str(parent))
        ours = (folder / SHIPPED_WEIGHTS).is_file()
        net, thresholds = load_shipped(folder) if ours else load_stock(folder)
        info = replace(info, thresholds=thresholds)
        if len(info.classes) != (net.config.n_classes or 1):
            names = (f"Class {i + 1}" for i in range(net.config.n_classes or 1))
            info = replace(info, classes=ClassScheme.of(*names))
        return cls(net, info, read_percentiles(folder), info.name, _sha256_of(folder))

    @classmethod
    def _fresh(
        cls, config: StarDistConfig, examples: Sequence[Example], seed: int, um: float
    ) -> Start:
        is_rgb = all(e.reader.info.is_rgb for e in examples) and config.n_channel_in == 3
        if config.n_channel_in not in (1, 3) or (config.n_channel_in == 3 and not is_rgb):
            raise ModelError(
                f"The new network sees {config.n_channel_in} channel(s), which the images do not "
                "have. Give n_channel_in = 3 for RGB images, else 1."
            )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = StarDistNet(config).eval()
        classes = _classes_of(examples) if config.n_classes else ClassScheme.of("Nucleus")
        if config.n_classes and len(classes) != config.n_classes:
            raise ModelError(
                f"The new network tells {config.n_classes} classes apart, but the labels hold "
                f"{len(classes)} ({', '.join(classes.names) or 'none'})."
            )
        info = ModelInfo("", _FAMILY, um, channels="rgb" if is_rgb else "gray", classes=classes)
        return cls(net, info, _PERCENTILES)


def _classes_of(examples: Sequence[Example]) -> ClassScheme:
    found = ClassScheme()
    for example in examples:
        found = found.union(c for c in example.labels.objects.classes if not c.is_background)
    return found


def _sha256_of(folder: Path) -> str:
    files = [folder / SHIPPED_WEIGHTS, *sorted(folder.glob("*.h5"))]
    path = next(f for f in files if f.is_file())
    return hashlib.sha256(path.read_bytes()).hexdigest()
