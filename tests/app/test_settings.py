from __future__ import annotations

import json

import pytest

from app import settings
from app.settings import Settings
from data_io.errors import DataError


def test_defaults_without_a_file(tmp_path):
    assert settings.load(tmp_path) == Settings()
    assert Settings().thread_count >= 1


def test_the_file_replaces_defaults(tmp_path):
    chosen = {"device": "cpu", "threads": 2, "method": "supervised", "minutes": 1.5}
    tmp_path.joinpath(settings.FILE).write_text(json.dumps(chosen))
    assert settings.load(tmp_path) == Settings(**chosen)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"threds": 2}', "unknown setting 'threds'"),
        ('{"threads": 0}', "threads"),
        ('{"threads": true}', "threads"),
        ('{"device": "tpu"}', "device"),
        ('{"minutes": 0}', "minutes"),
        ('{"minutes": "5"}', "minutes"),
        ('{"method": "magic"}', "method"),
        ('{"preset": "tiny"}', "preset"),
        ('{"nice": 40}', "nice"),
        ('{"worse": 2}', "worse"),
        ('{"retrain_images": -1}', "retrain_images"),
        ('{"retrain_regions": 1.5}', "retrain_regions"),
        ('{"retrain_idle": "soon"}', "retrain_idle"),
        ('{"retrain_start": "hot"}', "retrain_start"),
        ('{"scratch_every": 0}', "scratch_every"),
        ('{"spare_cores": -1}', "spare_cores"),
        ('{"gpu_share": 0}', "gpu_share"),
        ('{"audit": 0.6}', "audit"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path, text, told):
    tmp_path.joinpath(settings.FILE).write_text(text)
    with pytest.raises(DataError, match=told):
        settings.load(tmp_path)


def test_a_change_keeps_the_other_settings_and_refuses_what_does_not_fit(tmp_path):
    settings.change(tmp_path, minutes=2.0)
    settings.change(tmp_path, retrain_images=7)
    chosen = settings.load(tmp_path)
    assert (chosen.minutes, chosen.retrain_images) == (2.0, 7)
    with pytest.raises(DataError, match="retrain_idle"):
        settings.change(tmp_path, retrain_idle=-1)
    assert settings.load(tmp_path) == chosen
