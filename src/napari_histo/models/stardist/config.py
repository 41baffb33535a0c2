"""What shapes StarDist's 2D network, in the words of its stock files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from napari_histo.errors import ModelError

__all__ = ["ACTIVATIONS", "StarDistConfig"]

#: Those that a network may have, by their Keras names.
ACTIVATIONS = ("relu", "elu", "linear", "tanh", "sigmoid")


@dataclass(frozen=True)
class StarDistConfig:
    """What shapes the network, in the words of the stock ``config.json``.

    Attributes
    ----------
    n_rays, grid
        Rays of a polygon; pixels (y, x) of the image for one of the output.
    n_channel_in, n_classes
        Channels of the image; classes beside background, or None for no class head.
    unet_*, net_conv_after_unet
        As in ``stardist.models.Config2D``.
    """

    n_rays: int = 32
    grid: tuple[int, int] = (2, 2)
    n_channel_in: int = 3
    n_classes: int | None = None
    unet_n_depth: int = 3
    unet_kernel_size: tuple[int, int] = (3, 3)
    unet_n_filter_base: int = 32
    unet_n_conv_per_depth: int = 2
    unet_pool: tuple[int, int] = (2, 2)
    unet_activation: str = "relu"
    unet_last_activation: str = "relu"
    unet_batch_norm: bool = False
    unet_dropout: float = 0.0
    unet_expansion: int = 2
    unet_prefix: str = ""
    net_conv_after_unet: int = 128

    @classmethod
    def from_dict(cls, stock: Mapping[str, Any]) -> StarDistConfig:
        """Read a stock ``config.json`` dictionary; words that do not shape the net are ignored.

        Raises
        ------
        ModelError
            When the file describes a network that this module does not build.
        """
        for word, wanted in (("n_dim", 2), ("backbone", "unet")):
            if stock.get(word, wanted) != wanted:
                raise _unsupported(word, stock[word], wanted)
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {"grid": (1, 1)}  # of configurations older than the word
        values |= {
            k: tuple(v) if isinstance(v, list) else v for k, v in stock.items() if k in known
        }
        try:
            config = cls(**values)
            config.check()
        except TypeError as error:
            raise ModelError(f"The StarDist configuration holds a wrong value: {error}.") from error
        return config

    def to_dict(self) -> dict[str, Any]:
        """The stock words, with the dimension, axes and backbone that they imply."""
        words = {f.name: getattr(self, f.name) for f in fields(self)}
        words = {k: list(v) if isinstance(v, tuple) else v for k, v in words.items()}
        return {"n_dim": 2, "axes": "YXC", "backbone": "unet"} | words

    @property
    def divisor(self) -> tuple[int, int]:
        """Image height and width (pixels) must be multiples of these."""
        deep_y, deep_x = (p**self.unet_n_depth for p in self.unet_pool)
        return self.grid[0] * deep_y, self.grid[1] * deep_x

    @property
    def margin_px(self) -> int:
        """Pixels on each side beyond which nothing changes an output cell, in whole divisors.

        The radius of the receptive field, counted from the kernels, pools and nearest-neighbour
        upsamplings along the deepest path.
        """
        reach, step, half = 0, 1, max(self.unet_kernel_size) // 2
        for pool in self.grid_pools:
            reach += self.unet_n_conv_per_depth * half * step + (max(pool) - 1) * step
            step *= max(pool)
        pool_px = max(self.unet_pool)
        for _ in range(self.unet_n_depth):
            # Once on the way down and once, with the upsampled cell's own width, on the way up.
            reach += 2 * self.unet_n_conv_per_depth * half * step + 2 * (pool_px - 1) * step
            step *= pool_px
        reach += self.unet_n_conv_per_depth * half * step
        reach += half * max(self.grid) if self.net_conv_after_unet else 0
        block = max(self.divisor)
        return -(-reach // block) * block

    @property
    def grid_pools(self) -> list[tuple[int, int]]:
        """Poolings (y, x) before the U-Net, by which an image comes to the grid."""
        pools, (y, x) = [], (1, 1)
        while (y, x) != self.grid:
            pools.append((1 + (self.grid[0] > y), 1 + (self.grid[1] > x)))
            y, x = y * pools[-1][0], x * pools[-1][1]
        return pools

    def check(self) -> None:
        """Raise ModelError when no network can be built of this."""
        for word in ("grid", "unet_kernel_size", "unet_pool"):
            value = getattr(self, word)
            if not (isinstance(value, tuple) and len(value) == 2):
                raise _unsupported(word, value, "two numbers")
        for word in ("unet_activation", "unet_last_activation"):
            if getattr(self, word) not in ACTIVATIONS:
                raise _unsupported(word, getattr(self, word), " | ".join(ACTIVATIONS))
        if any(g < 1 or g & (g - 1) for g in self.grid):
            raise _unsupported("grid", self.grid, "powers of two")
        if any(k % 2 == 0 for k in self.unet_kernel_size):
            raise _unsupported("unet_kernel_size", self.unet_kernel_size, "odd numbers")
        if self.n_rays < 3 or min(self.n_channel_in, self.unet_n_conv_per_depth) < 1:
            raise _unsupported(
                "n_rays, n_channel_in, unet_n_conv_per_depth", self, "positive, 3 rays"
            )


def _unsupported(word: str, value: object, allowed: object) -> ModelError:
    return ModelError(
        f"This StarDist model has {word} = {value!r}; supported: {allowed}. "
        "Choose a 2D StarDist model with a U-Net."
    )
