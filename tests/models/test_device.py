"""Which precision a device computes in."""

from __future__ import annotations

import pytest
import torch

from napari_histo.errors import ModelError
from napari_histo.models._device import pick_device, pick_precision


@pytest.mark.parametrize("capability", ["native", "emulated", "none"])
def test_emulated_bfloat16_is_not_taken(monkeypatch, capability):
    def is_supported(including_emulation=True):
        return capability == "native" or (capability == "emulated" and including_emulation)

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    wanted = "bfloat16" if capability == "native" else "float32"
    assert pick_precision("auto", "cuda") == wanted
    assert pick_precision("bfloat16", "cuda") == "bfloat16"
    assert pick_precision("float32", "cuda") == "float32"


def test_unknown_wishes_are_refused():
    with pytest.raises(ModelError, match="available: auto"):
        pick_device("tpu")
    with pytest.raises(ModelError, match="'bfloat16'"):
        pick_precision("float8", "cpu")
