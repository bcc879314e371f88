"""The socket the server listens on, apart from it: it is bound before anything slow begins."""

from __future__ import annotations

import os
import socket

from app.security import StartError


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one.

    Raises:
        StartError: the port is taken, or the address is not this machine's.
    """
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    # asyncio switches Nagle's delay off (40 ms a reply) only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bare, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StartError(
            f"port {port} on {host} cannot be used ({error.strerror or error}); another Herdmark"
            " may be running: open it, stop it, or choose another --port."
        ) from error
    return listener
