"""What stands beside the canvas."""

from __future__ import annotations

from app.pages import label_view
from data_io.geometry import full_image
from data_io.store import Store


def test_the_queue_is_as_long_as_it_is(store: Store) -> None:
    front, _, last = (record.id for record in store.images())
    items = [{"image": front, "name": "0.png", "why": "first"}]  # cut off after one place
    shown = label_view.side(store, front, items, 3, "Coverage: all groups <first>")
    assert "1 of 3" in shown
    assert "<summary>Coverage</summary><p>all groups &lt;first&gt;</p>" in shown
    assert "3 images waiting" in label_view.side(store, last, items, 3, "")


def test_a_long_name_keeps_its_end_and_is_told_whole(store: Store) -> None:
    front = store.images()[0].id
    items = [{"image": front, "name": "16171798096734<_t1.jpg", "why": "first"}]
    shown = label_view.side(store, front, items, 1, "")
    name = "<span>161717980967</span><span>34&lt;_t1.jpg</span>"
    assert f'<b class="hm-cut" title="16171798096734&lt;_t1.jpg">{name}</b>' in shown


def test_a_project_without_images_says_what_to_do(store: Store) -> None:
    for record in store.images():
        assert "The queue is empty" in label_view.side(store, None, [], 0, "")
        store.set_excluded(record.id, True)
    assert "No image yet" in label_view.side(store, None, [], 0, "")


def test_only_what_a_training_takes_is_counted(store: Store) -> None:
    one, two, three = (record.id for record in store.images())
    for image in (one, two, three):
        store.save_revision(image, 0, [], full_image(48, 64), "me")
    assert "3 images verified" in label_view.side(store, None, [], 0, "")
    store.set_excluded(one, True)
    store.set_split(two, "test")
    assert "Two or three images are enough" in label_view.side(store, None, [], 0, "")


def test_a_running_training_is_not_advised_again(store: Store) -> None:
    for record in store.images():
        store.save_revision(record.id, 0, [], full_image(48, 64), "me")
    store.create_job("train", {})
    assert "The first training is running" in label_view.side(store, None, [], 0, "")
