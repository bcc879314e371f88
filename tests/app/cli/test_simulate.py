"""The command `simulate`: wrong usage, and what is refused with a sentence."""

from __future__ import annotations

import json

import pytest

from app.simulate import study
from data_io.errors import DataError


@pytest.mark.parametrize(
    "arguments",
    [(), ("project", "--data", "labels.json"), ("project", "--seeds", "one")],
)
def test_wrong_usage(herdmark, arguments):
    assert herdmark("simulate", *arguments)[0] == 2


def test_a_project_with_one_label_is_refused_with_a_sentence(herdmark, photos, tmp_path):
    project = tmp_path / "project"
    assert herdmark("import", project, photos / "labels.json")[0] == 0
    out = tmp_path / "report.json"
    code, last, err = herdmark("simulate", project, "--out", out, "--json")
    assert code == 1
    assert "verified" in err
    assert "error" in json.loads(last)
    assert not out.exists()


def test_unknown_arms_are_refused(tmp_path):
    records = study.records_of(None, ["A1"], [0], study.Options({}), tmp_path, print)
    with pytest.raises(DataError, match="use A0, A2, A3, A4, A9"):
        next(records)
