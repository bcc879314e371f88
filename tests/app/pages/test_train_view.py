"""What the Train page says about jobs and versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from app.pages import train_view
from app.pages.words import age
from data_io.types import Job, JobState, ModelVersion, VersionState

NOW = datetime.now(timezone.utc)
LOG = [
    {"step": 1, "steps": 40, "phase": "supervised", "loss": 0.9, "eta": 60.0},
    {"step": 10, "steps": 40, "phase": "semi", "loss": 0.45, "reliable": 0.5, "eta": 30.0},
    {"step": 10, "steps": 40, "phase": "semi", "loss": None, "val_iou": 0.625, "message": "m"},
]


def job(state: JobState, **more: Any) -> Job:
    return Job("j1", "train", state, {"train": {"method": "u2pl", "steps": 40}}, NOW, NOW, **more)


def timed(state: JobState) -> Job:
    return replace(job(state), config={"train": {"method": "u2pl", "minutes": 5}})


def bar(shown: str) -> int:
    """The bar's percentage."""
    return int(shown.partition('aria-valuenow="')[2].partition('"')[0])


def version(state: VersionState, **metrics: Any) -> ModelVersion:
    return ModelVersion("v1", None, "j1", "", {}, ("c",), "s", metrics, state, NOW)


def test_progress_shows_step_share_eta_and_figures() -> None:
    shown = train_view.progress(job("running"), LOG)
    assert 'aria-valuenow="25"' in shown
    for words in ("10 / 40", "30 s", "0.450", "50.0 %", "62.5 %", "phase 2 of 2", "<svg"):
        assert words in shown


def test_a_training_limited_by_minutes_shows_the_share_of_its_time() -> None:
    line = {"step": 9, "steps": None, "phase": "supervised", "eta": 225.0}
    shown = [train_view.progress(timed("running"), [line])]
    shown.append(train_view.progress(timed("running"), [line], curves=[{"step": 9.0}]))
    # The second phase has its length: 40 of 100 steps are done, but 60 % of the time is over.
    known = {"step": 40, "steps": 100, "phase": "semi", "eta": 120.0}
    shown.append(train_view.progress(timed("running"), [line, known]))
    shown.append(train_view.progress(timed("running"), [line, {**known, "eta": 0.0}]))
    assert [bar(one) for one in shown] == [25, 25, 60, 100]
    assert bar(train_view.progress(timed("running"), [])) == 0
    assert bar(train_view.progress(timed("done"), [line])) == 100


def test_what_follows_the_last_step_is_told_in_place_of_its_phase() -> None:
    line = {"step": 40, "steps": 40, "phase": "semi", "eta": 6.0, "loss": 0.25, "message": "m"}
    own = {"step": 40, "steps": 40, "message": "learning to answer clicks on this herd"}
    for training in (job("running"), timed("running")):
        during = train_view.progress(replace(training, progress=line), [line])
        assert "phase 2 of 2" in during
        assert "<dt>time left</dt><dd>6 s</dd>" in during
        after = train_view.progress(replace(training, progress=own), [line])
        assert "<span>learning to answer clicks on this herd</span>" in after
        assert "0.250" in after
        assert "phase 2 of 2" not in after
        assert "time left" not in after
        assert bar(after) == bar(during) >= 98


def test_no_time_left_is_not_told() -> None:
    assert "time left" not in train_view.progress(job("running"), [{**LOG[1], "eta": 0.0}])


def test_progress_without_a_log_is_no_failure() -> None:
    shown = train_view.progress(job("queued"), [])
    assert 'aria-valuenow="0"' in shown
    assert "<svg" not in shown


def test_a_failed_job_tells_its_sentence_as_text() -> None:
    failed = job("failed", error="broken <b>here</b>.")
    assert "broken &lt;b&gt;here" in train_view.progress(failed, [])
    row = train_view.jobs_table([failed])
    assert "broken &lt;b&gt;here" in row
    assert 'data-action="resume"' in row


def test_only_running_jobs_can_be_cancelled() -> None:
    assert 'data-action="cancel"' in train_view.jobs_table([job("running")])
    done = train_view.jobs_table([job("done", result={"message": "kept the second phase"})])
    assert "data-action" not in done
    assert "kept the second phase" in done


def test_no_training_is_resumed_beside_another_one() -> None:
    lost, proposing = job("interrupted"), replace(job("running"), id="j2", kind="propose")
    assert 'data-action="resume"' in train_view.jobs_table([proposing, lost])
    for state in ("queued", "running"):
        active = replace(job(state), id="j2")  # type: ignore[arg-type]
        assert 'data-action="resume"' not in train_view.jobs_table([active, lost])
    assert 'data-action="resume"' in train_view.jobs_table([replace(job("done"), id="j2"), lost])


def test_versions_can_be_promoted_and_rolled_back() -> None:
    assert ">Promote<" in train_view.versions_table([version("aside")])
    assert ">Go back to this version<" in train_view.versions_table([version("retired")])
    assert 'data-action="promote"' not in train_view.versions_table([version("promoted")])


def test_a_version_says_what_it_was_judged_on_and_which_phase_was_kept() -> None:
    phases = {"supervised": {"miou": 0.61}, "semi": {"miou": 0.64}}
    made = version("promoted", iou=0.5, miou=0.64, on="validation", kept="semi", phases=phases)
    shown = train_view.versions_table([made])
    for words in ("validation images", "64.0 %", "supervised 61.0 %", "semi-supervised 64.0 %"):
        assert words in shown
    told = train_view.versions_table([made], [job("done", result={"message": "kept, since"})])
    assert "kept, since" in told


def test_ages_are_words() -> None:
    for seconds, words in (
        (5, "just now"),
        (300, "5 min ago"),
        (7200, "2 h ago"),
        (3e5, "3 days ago"),
    ):
        assert age(NOW - timedelta(seconds=seconds), NOW) == words


def test_proposals_show_how_far_they_are() -> None:
    progress = {"step": 3, "steps": 12, "eta": 45.0, "message": "3 of 12 images have a proposal"}
    running = replace(job("running", progress=progress), kind="propose")
    shown = train_view.progress(running, [])
    assert 'aria-valuenow="25"' in shown
    for words in ("3 of 12 images", "<dt>images</dt><dd>3 / 12</dd>", "45 s"):
        assert words in shown
    importing = replace(running, kind="import", progress={})
    assert "reading the images" in train_view.progress(importing, [])


def test_the_newest_run_for_proposals_can_be_resumed() -> None:
    for state in ("failed", "interrupted"):
        lost = replace(job(state), kind="propose")  # type: ignore[arg-type]
        assert 'data-action="resume"' in train_view.jobs_table([lost])
        after = replace(job("done"), id="j2", kind="propose")
        assert "data-action" not in train_view.jobs_table([after, lost])
    replaced = replace(job("cancelled"), kind="propose")
    assert "data-action" not in train_view.jobs_table([replaced])


def test_what_is_said_about_a_cancelled_job_is_what_became_of_it() -> None:
    assert "is stopping" in train_view.cancelled(job("running"))
    assert "was cancelled" in train_view.cancelled(job("cancelled"))
    assert "it is done" in train_view.cancelled(job("done"))


def test_curves_are_drawn_from_the_first_step_on() -> None:
    table = [
        {"step": float(k), "loss_supervised": 1 / (k + 1), "val_iou": k / 50} for k in range(40)
    ]
    shown = train_view.progress(job("running"), LOG[-1:], curves=table)
    assert shown.count("<polyline") == 2
    first = shown.partition('points="')[2].partition('"')[0].split()
    assert len(first) == 40


def test_a_training_that_started_by_itself_says_why() -> None:
    started = replace(job("running"), config={"train": {}, "reason": "10 newly accepted images"})
    assert "10 newly accepted images" in train_view.jobs_table([started])
