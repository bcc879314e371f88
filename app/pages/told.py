"""Handlers that tell their failures in a sentence instead of a traceback."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import gradio as gr

from app.pages.words import text
from data_io.errors import ConflictError, DataError, StoreError

log = logging.getLogger("herdmark")
# How most events are wired: no spinner over what they change, no public endpoint.
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
Handler = TypeVar("Handler", bound=Callable[..., Any])


def told(handler: Handler) -> Handler:
    """Wrap an event handler: a failure becomes a warning on the page and changes no output."""

    @functools.wraps(handler)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        except (DataError, StoreError, ConflictError) as error:
            warn(str(error))
        except OSError as error:
            log.exception("a page could not read or write a file")
            warn(f"A file could not be read or written: {error.strerror or 'see the log'}.")
        except gr.Error:
            raise
        except Exception:  # the last door before Gradio would show its own
            log.exception("a page failed")
            warn("Something went wrong here; the server's log says what.")
        return gr.skip()

    return wrapped  # type: ignore[return-value]


def warn(sentence: str) -> None:
    """A warning on the page; Gradio shows its text as HTML, so names in it are escaped."""
    gr.Warning(text(sentence), title="Not done")


def inform(sentence: str) -> None:
    """A note on the page."""
    gr.Info(text(sentence), title="Done")
