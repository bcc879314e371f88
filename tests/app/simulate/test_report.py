"""Figures of a study, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from app.simulate.clock import CLOCKS, STANDARD
from app.simulate.report import naulc, summary, table, work_of


def test_the_area_is_over_log_seconds_from_the_first_minute():
    # 60..600..6000: the first decade at .4, the second at .8
    times, values = np.array([60.0, 600.0]), np.array([[0.4, 0.8]])
    assert naulc(times, values, 6000.0) == pytest.approx([0.6])
    # no model in the first decade
    assert naulc(np.array([600.0]), np.array([[0.8]]), 6000.0) == pytest.approx([0.4])
    # a model that comes after the end counts for nothing
    assert naulc(np.array([60.0, 9000.0]), np.array([[0.5, 1.0]]), 6000.0) == pytest.approx([0.5])


def animal(seconds, target=0.95, truth=0.9):
    return {
        "actions": [["think", seconds / 1.35, 1.0]],
        "target": target,
        "truth": truth,
        "boundary": 0.8,
        "vertices": [10, 20, 30, 40],
    }


def record(arm, seed, number, spent, images, both, done=False):
    return {
        "set": "world",
        "arm": arm,
        "seed": seed,
        "round": number,
        "spent": {"open": spent / 2},
        "full": {"open": 3000.0},
        "images": images,
        "test": [["a", both, 100], ["b", both, 100]],
        "left": 0,
        "done": done,
    }


def image(name, animals):
    n = len(animals)
    other = [["open", 1.0, 1.0], ["scan", n, 1.0]]
    return {"image": name, "cluster": name, "animals": animals, "other": other}


def test_seconds_an_animal_and_what_drawing_it_takes():
    run = [record("A4", 0, 1, 60, [image("x", [animal(5), animal(10, 0.8)])], 50)]
    work = work_of(run, STANDARD)
    usual = 1.35 + 0.78 * 30  # outlines of IoU .95
    assert work.each == pytest.approx([5, 10 + usual])  # the second one has failed
    assert work.whole == pytest.approx([4 + 15 + usual])  # open 2 s, scan 1 s each
    assert work.scratch == pytest.approx([4 + 2 * usual])
    mean = 0.875  # delivered: half way between the outlines of .85 and .90
    assert work.delivered[0].mean() == pytest.approx(mean)
    assert work.equal == pytest.approx([4 + 2 * (1.35 + 0.78 * 15)])


def records():
    made = []
    for arm, seconds, both in (("A4", 10, 50), ("A9", 5, 60)):
        for seed in (0, 1):
            first = [image("x", [animal(seconds), animal(seconds)])]
            made.append(record(arm, seed, 1, 60, first, both))
            second = [image("y", [animal(seconds)])]
            made.append(record(arm, seed, 2, 540, second, both + 20, done=True))
    ceiling = {
        "set": "world",
        "arm": "ceiling",
        "round": 1,
        "test": [["a", 80, 100], ["b", 80, 100]],
    }
    return [*made, {**ceiling, "seed": 0}, {**ceiling, "seed": 1}]


def test_a_summary_by_hand():
    answer = summary(records())
    arms, pairs = (answer["clocks"]["x1"][key] for key in ("arms", "pairs"))
    # 60 s: .5, 600 s: .7, to 6000 s, over a ceiling of .8
    assert arms["A4"]["naulc"] == pytest.approx([0.75] * 3)
    assert arms["A9"]["naulc"] == pytest.approx([0.875] * 3)
    assert pairs["A9-A4"]["naulc"] == pytest.approx([0.125] * 3)
    assert arms["A4"]["active"][0] == pytest.approx(10)
    assert arms["A4"]["seconds"][0] == pytest.approx((3 * 10 + 2 * 2 + 3) / 3)
    # images: 24 s and 13 s against 14 s and 8 s
    assert pairs["A9-A4"]["saved"][0] == pytest.approx(1 - 22 / 37)
    assert pairs["A9-A4"]["equal"]
    assert arms["A9"]["curves"][0] == [[60.0, 0.6], [600.0, 0.8]]
    assert set(answer["clocks"]) == set(CLOCKS)
    assert len(table(answer, "x1")) == 13


def test_a_slower_clock_moves_the_curve():
    answer = summary(records())
    # 120 s and 1200 s of 12000: nothing before 120 s
    share = np.log([120 / 60, 10, 10]) / np.log(200)
    expected = (share[1] * 0.5 + share[2] * 0.7) / 0.8
    assert answer["clocks"]["x2"]["arms"]["A4"]["naulc"][0] == pytest.approx(expected)


def test_intervals_follow_the_clusters():
    rows = records()
    for row in rows:
        if row["arm"] == "A9":
            row["test"] = [["a", 90, 100], ["b", 30, 100]]
    value, low, high = summary(rows)["clocks"]["x1"]["arms"]["A9"]["naulc"]
    assert low < value < high
    assert (low, high) == pytest.approx((30 / 80, 90 / 80))  # both draws of one cluster alone


def test_two_arms_are_compared_where_both_have_run():
    rows = [row for row in records() if (row["arm"], row["seed"]) != ("A9", 1)]
    for row in rows:
        if (row["arm"], row["seed"]) == ("A4", 1):
            row["test"] = [["a", 0, 100], ["b", 0, 100]]
    found = summary(rows)["clocks"]["x1"]
    assert found["arms"]["A4"]["naulc"] == pytest.approx([0.375] * 3)
    assert found["pairs"]["A9-A4"]["naulc"] == pytest.approx([0.125] * 3)


def test_an_arm_without_a_finished_image_has_no_seconds():
    rows = [record("A4", 0, 1, 60, [], 50, done=True)]
    answer = summary(rows)
    assert answer["clocks"]["x1"]["arms"]["A4"]["animals"] == 0
    assert table(answer, "x1")
