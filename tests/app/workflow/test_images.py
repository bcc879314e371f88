from __future__ import annotations

import pytest

from app.workflow import images
from data_io.errors import DataError


def test_a_folder_that_holds_none_of_the_images_is_refused(project, photos, tmp_path):
    tmp_path.joinpath("empty").mkdir()
    with pytest.raises(DataError, match="none of the project's images"):
        images.relink(project, photos, tmp_path / "empty")
    moved = photos.rename(tmp_path / "moved")
    assert images.relink(project, photos, moved) == 4


def test_an_unknown_id_excludes_nothing(project):
    with pytest.raises(DataError, match="ghost"):
        images.set_excluded(project, [project.images()[0].id, "ghost"], True)
    assert len(project.images()) == 4
