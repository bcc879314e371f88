"""The server's socket."""

from __future__ import annotations

import socket

import pytest

from app.listener import listen
from app.security import StartError


def test_a_taken_port_is_a_sentence() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(StartError, match="--port"):
        listen("127.0.0.1", first.getsockname()[1])


def test_the_listener_names_tcp_so_that_replies_are_not_delayed() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
