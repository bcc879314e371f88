"""What a SAM pair is told and how its answers are read, with networks played by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from data_io.errors import DataError
from model.assist import sam
from model.assist.clicks import Click
from model.assist.sam import SamPair

HEIGHT, WIDTH, SIDE = 60, 120, 96
IMAGE = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)


def named(*names):
    return [SimpleNamespace(name=name, shape=[1]) for name in names]


class Encoder:
    def __init__(self, *outputs):
        self.outputs, self.told = outputs, None

    def get_inputs(self):
        return [SimpleNamespace(name="input", shape=["batch", 3, SIDE, SIDE])]

    def get_outputs(self):
        return named(*self.outputs)

    def run(self, names, told):
        self.told = told["input"]
        return [np.full((1, 1), k, np.float32) for k, _ in enumerate(names)]


class Decoder:
    """Two masks: the left half, and the better right half."""

    def __init__(self, *features, sized=True):
        self.features, self.sized, self.told = features, sized, None

    def get_inputs(self):
        return named(*self.features, *sam.POINTS, *([sam.SIZE] if self.sized else []))

    def get_outputs(self):
        return named("masks", "iou_predictions", "low_res_masks")

    def run(self, names, told):
        self.told = told
        height, width = map(int, told[sam.SIZE]) if self.sized else (64, 64)
        masks = np.full((1, 2, height, width), -1, np.float32)
        masks[0, 0, :, : width // 2] = masks[0, 1, :, width // 2 :] = 1
        low = np.stack([np.full((256, 256), k, np.float32) for k in range(2)])[None]
        return [masks, np.array([[0.1, 0.9]], np.float32), low]


@pytest.fixture
def pair(monkeypatch):
    def make(encoder, decoder):
        played = {"e": encoder, "d": decoder}
        monkeypatch.setattr(sam, "_session", lambda path, threads: played[path])
        return SamPair("e", "d")

    return make


def test_the_first_kind_keeps_the_aspect(pair):
    encoder, decoder = Encoder("output"), Decoder("image_embeddings")
    model = pair(encoder, decoder)
    seen = model.embed(IMAGE)
    assert encoder.told.shape == (1, 3, SIDE, SIDE)
    assert (encoder.told[0, :, 48:] == 0).all()  # padding below
    assert (encoder.told[0, :, :48] > 0).all()
    click = Click(30, 15, True)
    made = model.answer(seen, [click, Click(60, 30, False)])
    assert decoder.told["point_coords"].tolist() == [[[24, 12], [48, 24], [0, 0]]]
    assert decoder.told["point_labels"].tolist() == [[1, 0, -1]]
    assert decoder.told["has_mask_input"].tolist() == [0]
    assert made.mask.shape == (HEIGHT, WIDTH)
    assert made.mask[:, 60:].all()
    assert not made.mask[:, :60].any()  # the mask that the decoder thinks better of
    assert (made.logits == 1).all()


def test_a_box_and_the_answer_so_far_are_told(pair):
    decoder = Decoder("image_embeddings")
    model = pair(Encoder("output"), decoder)
    seen, before = model.embed(IMAGE), np.full((256, 256), 3, np.float32)
    model.answer(seen, [], (10, 20, 50, 40), before)
    assert decoder.told["point_coords"].tolist() == [[[8, 16], [40, 32]]]
    assert decoder.told["point_labels"].tolist() == [[2, 3]]
    assert decoder.told["has_mask_input"].tolist() == [1]
    assert (decoder.told["mask_input"] == 3).all()


def test_the_second_kind_is_stretched_and_has_three_features(pair):
    names = ("high_res_feats_0", "high_res_feats_1", "image_embed")
    encoder, decoder = Encoder(*names), Decoder(*names, sized=False)
    model = pair(encoder, decoder)
    seen = model.embed(IMAGE)
    assert (encoder.told > 0).all()  # nothing is padding
    assert set(seen.values) == set(names)
    made = model.answer(seen, [Click(60, 30, True)])
    assert decoder.told["point_coords"].tolist() == [[[48, 48], [0, 0]]]
    assert made.mask.shape == (HEIGHT, WIDTH)
    assert made.mask[:, 61:].all()


def test_a_mask_is_told_as_logits(pair):
    model = pair(Encoder("output"), Decoder("image_embeddings"))
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[:, :60] = True
    logits = model.logits_of(mask)
    assert (logits[:128, :128] == 10).all()
    assert (logits[:, 129:] == -10).all()
    assert (logits[128:] == -10).all()  # beside the image


@pytest.mark.parametrize(
    ("encoder", "decoder", "told"),
    [
        (Encoder("output"), Encoder("masks"), "no decoder of a SAM"),
        (Encoder("a", "b"), Decoder("image_embeddings"), "its decoder takes image_embeddings"),
    ],
)
def test_networks_of_another_family_are_one_sentence(pair, encoder, decoder, told):
    with pytest.raises(DataError, match=told) as error:
        pair(encoder, decoder)
    assert "in the settings" in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b"no network at all"])
def test_missing_and_damaged_files_are_one_sentence(tmp_path, content):
    file = tmp_path / "encoder.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"encoder\.onnx"):
        SamPair(file, file)
