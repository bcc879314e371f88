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
        ('{"audit": 0.6}', "audit"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path, text, told):
    tmp_path.joinpath(settings.FILE).write_text(text)
    with pytest.raises(DataError, match=told):
        settings.load(tmp_path)
