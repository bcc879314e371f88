from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch

from model.config import NetworkConfig
from model.export_onnx import export
from model.network import SegmentationNetwork

SIZES = {"decoder_channels": 16, "low_channels": 8}
PLAIN = NetworkConfig(classes=3, **SIZES)  # type: ignore[arg-type]
GROUPED = NetworkConfig(classes=3, norm="group", **SIZES)  # type: ignore[arg-type]
FULL = NetworkConfig(
    classes=3,
    decoder="full",
    auxiliary=True,
    encoding="contact_band",
    **SIZES,  # type: ignore[arg-type]
)


@pytest.fixture(
    scope="module", params=[PLAIN, GROUPED, FULL], ids=["plain", "group norm", "full with band"]
)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SegmentationNetwork, ort.InferenceSession]:
    torch.manual_seed(0)
    network = SegmentationNetwork(request.param, pretrained=True)
    for module in network.modules():  # statistics as after training, not the neutral start
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    network.train()(torch.randn(4, 3, 64, 64))
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    network.train()
    export(network, path)
    assert network.training, "exporting must not change the network"
    return network.eval(), ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("height", "width"), [(64, 96), (128, 192), (160, 64)])
def test_onnx_equals_torch(
    pair: tuple[SegmentationNetwork, ort.InferenceSession], height: int, width: int
) -> None:
    network, session = pair
    image = torch.randn(1, 3, height, width)
    with torch.no_grad():
        expected = network(image).numpy()
    (logits,) = session.run(["logits"], {"image": image.numpy()})
    channels = 1 + network.config.categories
    assert logits.shape == (1, channels, height // 4, width // 4)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(logits, expected, atol=1e-4)
