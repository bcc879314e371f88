"""The command line: one file a command, see each for its options and its JSON answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from app.cli import (
    doctor,
    evaluate,
    export_files,
    images,
    import_files,
    jobs,
    propose,
    queue,
    serve,
    simulate,
    split,
    train,
    versions,
)

app = typer.Typer(
    name="herdmark",
    help="Label animals in images. Without a command: serve the demo.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("serve")(serve.run)
app.command("import")(import_files.run)
app.command("export")(export_files.run)
app.command("split")(split.run)
app.command("images")(images.run)
app.command("train")(train.run)
app.command("propose")(propose.run)
app.command("queue")(queue.run)
app.command("evaluate")(evaluate.run)
app.command("jobs")(jobs.run)
app.command("versions")(versions.run)
app.command("simulate")(simulate.run)
app.command("doctor")(doctor.run)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 failed, 2 wrong usage. No command serves the demo."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Options alone (`launch.py --port 8000`) belong to the demo's server too.
    if not given or (given[0].startswith("-") and given[0] not in ("--help", "-h")):
        given = ["serve", *given]
    app(args=given, prog_name="launch.py")
