"""StarDist's 2D network in torch, with the stock files of the Keras package.

The graph is that of ``stardist.models.StarDist2D`` (Schmidt et al., MICCAI 2018; Weigert &
Schmidt, ISBIC 2022) on the U-Net of ``csbdeep.internals.blocks.unet_block``. Every convolution
keeps its Keras name, so that stock weights load by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.models.stardist.config import ACTIVATIONS, StarDistConfig

__all__ = ["StarDistNet", "fold_batch_norm"]

_KERAS_BN_EPS = 1e-3
_HEADS = ("prob", "dist", "prob_class")
_FUNCTIONS: tuple[Callable[[Tensor], Tensor], ...] = (
    F.relu,
    F.elu,
    lambda x: x,
    torch.tanh,
    torch.sigmoid,
)
_ACTIVATIONS = dict(zip(ACTIVATIONS, _FUNCTIONS, strict=True))


class _Conv(nn.Module):
    """Convolution, batch normalisation where wanted, activation, dropout: csbdeep's conv_block2."""

    def __init__(
        self, n_in: int, n_out: int, config: StarDistConfig, *, activation: str, block: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, config.unet_kernel_size, padding="same")
        nn.init.xavier_uniform_(self.conv.weight)
        nn.init.zeros_(_bias(self.conv))
        normed = block and config.unet_batch_norm
        # Keras' momentum 0.99 counts what is kept, torch's what is new.
        self.norm = nn.BatchNorm2d(n_out, eps=_KERAS_BN_EPS, momentum=0.01) if normed else None
        self.activation = activation
        self.dropout = config.unet_dropout if block else 0.0

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        x = _ACTIVATIONS[self.activation](x)
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class StarDistNet(nn.Module):
    """StarDist2D: grid convolutions, U-Net, features, and the heads on the grid.

    ``layers`` holds every convolution under its Keras name; those before the U-Net, which Keras
    numbers by itself, are ``conv2d``, ``conv2d_1`` …
    """

    def __init__(self, config: StarDistConfig) -> None:
        super().__init__()
        config.check()
        self.config = config
        self.layers = nn.ModuleDict()
        n = self._add_grid_convs(config)
        n = self._add_unet(n, config)
        self._add_heads(n, config)

    def _add(
        self, name: str, n_in: int, n_out: int, *, block: bool = True, last: bool = False
    ) -> int:
        config = self.config
        activation = config.unet_last_activation if last else config.unet_activation
        conv = _Conv(n_in, n_out, config, activation=activation, block=block)
        self.layers[config.unet_prefix + name if block else name] = conv
        return n_out

    def _add_grid_convs(self, config: StarDistConfig) -> int:
        n = config.n_channel_in
        for i in range(len(config.grid_pools) * config.unet_n_conv_per_depth):
            n = self._add(_numbered("conv2d", i), n, config.unet_n_filter_base, block=False)
        return n

    def _add_unet(self, n: int, config: StarDistConfig) -> int:
        convs, depth = config.unet_n_conv_per_depth, config.unet_n_depth
        width = [config.unet_n_filter_base * config.unet_expansion**d for d in range(depth + 1)]
        for d in range(depth):
            for i in range(convs):
                n = self._add(f"down_level_{d}_no_{i}", n, width[d])
        for i in range(convs - 1):
            n = self._add(f"middle_{i}", n, width[depth])
        n = self._add(f"middle_{convs}", n, width[max(0, depth - 1)])
        for d in reversed(range(depth)):
            n += width[d]
            for i in range(convs - 1):
                n = self._add(f"up_level_{d}_no_{i}", n, width[d])
            n = self._add(f"up_level_{d}_no_{convs}", n, width[max(0, d - 1)], last=d == 0)
        return n

    def _add_heads(self, n: int, config: StarDistConfig) -> None:
        heads = {"prob": 1, "dist": config.n_rays}
        wide = config.net_conv_after_unet
        if wide:
            self._add("features", n, wide, block=False)
        if config.n_classes is not None:
            heads["prob_class"] = config.n_classes + 1
            if wide:
                self._add("features_class", n, wide, block=False)
        for name, n_out in heads.items():
            self.layers[name] = nn.Conv2d(wide or n, n_out, 1)
            nn.init.xavier_uniform_(self.layers[name].weight)  # type: ignore[arg-type]
            nn.init.zeros_(_bias(self.layers[name]))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Predict on the grid.

        Parameters
        ----------
        image
            ``(b, c, h, w)`` float, normalised; h and w multiples of ``config.divisor``.

        Returns
        -------
        prob_logits, dist, class_logits
            ``(b, 1, h/g, w/g)``; ``(b, n_rays, h/g, w/g)`` in image pixels, ray k at the angle
            2πk/n_rays from +x towards +y; ``(b, n_classes + 1, h/g, w/g)`` or None.
        """
        x = self._unet(self._to_grid(image))
        features = self.layers["features"](x) if "features" in self.layers else x
        prob, dist = self._head("prob", features), self._head("dist", features)
        if "prob_class" not in self.layers:
            return prob, dist, None
        own = self.layers["features_class"](x) if "features_class" in self.layers else x
        return prob, dist, self._head("prob_class", own)

    def embed(self, image: Tensor) -> Tensor:
        """What an image looks like to the encoder: mean and spread of its two deepest levels.

        Parameters
        ----------
        image
            As of `forward`.

        Returns
        -------
        ``(b, d)`` float32, of length 1.
        """
        levels = [x.float().flatten(2) for x in self._encode(self._to_grid(image))[-2:]]
        parts = [part for x in levels for part in (x.mean(2), x.std(2, correction=0))]
        # Each part has the same say, however large its values are.
        return F.normalize(torch.cat([F.normalize(part) for part in parts], dim=1))

    def describe(self, image: Tensor) -> Tensor:
        """What the heads for probability and distances see, ``(b, d, h/g, w/g)`` float32."""
        x = self._unet(self._to_grid(image))
        features = self.layers["features"](x) if "features" in self.layers else x
        return torch.as_tensor(features).float()

    def set_trunk_dtype(self, dtype: torch.dtype) -> StarDistNet:
        """Compute everything but the heads in `dtype`; in place, returns itself.

        The heads stay float32: bfloat16 would round a distance of 20 px to an eighth of a pixel.
        """
        for name, layer in self.layers.items():
            if name not in _HEADS:
                layer.to(dtype)
        return self

    def _head(self, name: str, features: Tensor) -> Tensor:
        head = self.layers[name]
        out: Tensor = head(features.to(_bias(head).dtype))
        return out

    def _to_grid(self, x: Tensor) -> Tensor:
        convs = self.config.unet_n_conv_per_depth
        for level, pool in enumerate(self.config.grid_pools):
            for i in range(convs):
                x = self.layers[_numbered("conv2d", level * convs + i)](x)
            x = F.max_pool2d(x, pool)
        return x

    def _encode(self, x: Tensor) -> list[Tensor]:
        """What each level of the U-Net sees, from fine to coarse; the last is the bottom."""
        config, levels = self.config, []
        convs = config.unet_n_conv_per_depth
        for d in range(config.unet_n_depth):
            for i in range(convs):
                x = self._layer(f"down_level_{d}_no_{i}", x)
            levels.append(x)
            x = F.max_pool2d(x, config.unet_pool)
        for i in [*range(convs - 1), convs]:
            x = self._layer(f"middle_{i}", x)
        return [*levels, x]

    def _unet(self, x: Tensor) -> Tensor:
        convs, pool = self.config.unet_n_conv_per_depth, self.config.unet_pool
        *skips, x = self._encode(x)
        for d in reversed(range(self.config.unet_n_depth)):
            x = F.interpolate(x, scale_factor=(float(pool[0]), float(pool[1])), mode="nearest")
            x = torch.cat([x, skips[d]], dim=1)
            for i in [*range(convs - 1), convs]:
                x = self._layer(f"up_level_{d}_no_{i}", x)
        return x

    def _layer(self, name: str, x: Tensor) -> Tensor:
        out: Tensor = self.layers[self.config.unet_prefix + name](x)
        return out


def _numbered(name: str, i: int) -> str:
    return f"{name}_{i}" if i else name


def _bias(module: nn.Module) -> Tensor:
    bias = module.bias
    assert isinstance(bias, Tensor)
    return bias


@torch.no_grad()
def fold_batch_norm(net: StarDistNet) -> StarDistNet:
    """A copy in evaluation mode whose convolutions have swallowed their batch normalisation.

    The same function, without a pass over the image for each norm.
    """
    folded = StarDistNet(replace(net.config, unet_batch_norm=False)).to(_bias(net.layers["prob"]))
    for name, layer in net.layers.items():
        if isinstance(layer, _Conv):
            _copy_folded(layer, folded.layers[name])
        else:
            folded.layers[name].load_state_dict(layer.state_dict())
    return folded.eval()


def _copy_folded(layer: _Conv, into: nn.Module) -> None:
    assert isinstance(into, _Conv)
    weight, bias = layer.conv.weight, _bias(layer.conv)
    norm = layer.norm
    if norm is not None:
        mean, var = norm.running_mean, norm.running_var
        assert mean is not None
        assert var is not None
        gain = norm.weight * torch.rsqrt(var + norm.eps)
        weight, bias = weight * gain[:, None, None, None], (bias - mean) * gain + norm.bias
    into.conv.weight.copy_(weight)
    _bias(into.conv).copy_(bias)
