"""A small StarDist network with random weights that proposes something nearly everywhere."""

from __future__ import annotations

import torch

from napari_histo.models.stardist.config import StarDistConfig
from napari_histo.models.stardist.net import StarDistNet


def eager_net(seed=0, *, radius_px=6.0, **words):
    """Seeded; `words` as of `StarDistConfig`."""
    torch.manual_seed(seed)
    small = {"unet_n_depth": 2, "unet_n_filter_base": 8, "net_conv_after_unet": 16}
    net = StarDistNet(StarDistConfig(**{**small, **words})).eval()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.5, 2)
        noise = torch.rand(1, net.config.n_channel_in, 64, 64)
        _spread(net, "prob", net(noise)[0], mean=-2.0, std=2.0)
        _spread(net, "dist", net(noise)[1], mean=radius_px, std=1.0)
    return net


def _spread(net, name, found, *, mean, std):
    """Make the head's answers scatter as a trained network's do."""
    head = net.layers[name]
    head.weight.mul_(std / found.std())
    head.bias.copy_((head.bias - found.mean()) * (std / found.std()) + mean)
