"""``jobs PROJECT`` -> {"jobs": [{"id", "kind", "state", "progress", "result", "error", ...}]}."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app import jobs
from app.cli.common import Json, Project, command, open_project, progress_line, say, tell
from data_io.types import Job


@command
def run(
    project: Project,
    cancel: Annotated[str | None, typer.Option(metavar="ID", help="End this job.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="ID", help="Go on with this job.")] = None,
    as_json: Json = False,
) -> None:
    """List the jobs, newest first; cancel or resume one."""
    if cancel is not None and resume is not None:
        raise typer.BadParameter("give --cancel or --resume, not both")
    with open_project(project) as store:
        if cancel is not None:
            say(_cancelled(jobs.cancel_job(store, cancel)))
        if resume is not None:
            jobs.resume_job(store, resume)
        rows = store.jobs()
    tell({"jobs": [_row(job) for job in rows]}, as_json, "\n".join(map(_line, rows)) or "no jobs")


def _cancelled(job: Job) -> str:
    if job.state == "cancelled":
        return f"job {job.id} is cancelled; its last good state is kept"
    return f"job {job.id} was too far on to be cancelled: it is {job.state}"


def _row(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "created": job.created.isoformat(),
        "updated": job.updated.isoformat(),
        "progress": dict(job.progress),
        "result": dict(job.result),
        "error": job.error,
    }


def _line(job: Job) -> str:
    more = job.error or (progress_line(job) if job.state in jobs.ACTIVE else "")
    return f"{job.id}  {job.kind:8} {job.state:12} {job.created:%Y-%m-%d %H:%M} {more}".rstrip()
