"""The recipe goes on where it was stopped, with the scenes it would have held."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.assist import WEIGHTS, recipe
from model.assist.recipe import Scenes, main
from model.assist.training import load


@pytest.fixture
def few(monkeypatch):
    """Two scenes, replaced in turn after every second step; scenes are told by their seeds."""
    monkeypatch.setattr(recipe, "HELD", 2)
    monkeypatch.setattr(recipe, "FRESH", 2)


def test_scenes_come_and_go_alike_however_often_it_was_stopped(few, monkeypatch):
    monkeypatch.setattr(recipe, "_picture", lambda seed: seed - recipe.FIRST_SEED)
    scenes, held = Scenes(), []
    for step in range(1, 9):
        scenes.at(step)
        held.append(list(scenes._held))
        assert Scenes(step)._held == scenes._held
    assert held == [[0, 1], [2, 1], [2, 1], [2, 3], [2, 3], [4, 3], [4, 3], [4, 5]]


def test_stopped_and_started_again_it_gives_the_same_weights(few, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(recipe, "RefinerConfig", short)
    monkeypatch.setattr(recipe, "WHOLE", replace(recipe.WHOLE, batch=2))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    steps = ["--steps", "2", "--more", "2", "--threads", "1"]
    threads = torch.get_num_threads()
    try:
        assert main([str(whole), *steps]) == 0
        for _ in range(4):
            assert main([str(parts), *steps, "--minutes", "0"]) == 0
    finally:
        torch.set_num_threads(threads)
    assert capsys.readouterr().out.count("stopped after 1 of 2 steps") == 2
    one, other = (load(place / WEIGHTS) for place in (whole, parts))
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, msg=name)
    assert not load(whole / "first.safetensors").narrow[0].weight.any()
    assert one.narrow[0].weight.any()


def short(steps=3):
    from model.assist.training import RefinerConfig

    return RefinerConfig(steps=steps, batch=2)
