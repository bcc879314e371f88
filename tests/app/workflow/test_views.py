from __future__ import annotations

import pytest

from app.workflow.views import status_of


@pytest.mark.parametrize(
    ("revision", "verified", "word"),
    [
        (0, "none", "unlabeled"),
        (1, "none", "draft"),
        (2, "partial", "partial"),
        (3, "whole", "verified"),
    ],
)
def test_the_words_of_a_status(revision, verified, word):
    assert status_of(revision, verified) == word
