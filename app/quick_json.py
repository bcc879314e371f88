"""JSON of documents with tens of thousands of numbers, several times as fast as by default."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from data_io.store import codec


class _QuickRequest(Request):
    async def json(self) -> Any:
        return codec.quick_loads(await self.body())


class QuickRoute(APIRoute):
    """A route that reads its body by orjson, which refuses NaN as the standard does (RFC 8259)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def quick(request: Request) -> Response:
            return await handle(_QuickRequest(request.scope, request.receive))

        return quick


def quick_json(content: Mapping[str, Any]) -> Response:
    """The response of plain finite values."""
    return Response(codec.quick_dumps(content, "the answer"), media_type="application/json")
