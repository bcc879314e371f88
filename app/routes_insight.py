"""Downloads of the Insight page: the rows and the picture of every chart, and all readings."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from app import meter, plots
from app.context import Context
from data_io.store import codec

_TYPES = {"csv": "text/csv; charset=utf-8", "png": "image/png"}


def insight_routes(context: Context) -> APIRouter:
    """``insight/<chart>.csv``, ``insight/<chart>.png`` and ``insight/readings.csv``."""
    routes, store = APIRouter(), context.store

    @routes.get("/insight/{file}")
    def download(file: str) -> Response:
        if file == "readings.csv":
            return _attached(file, plots.readings_csv(store.readings()))
        name, _, kind = file.partition(".")
        charts = {str(key): key for key in meter.NAMES}
        if name not in charts or kind not in _TYPES:
            raise HTTPException(404, "there is no such chart; choose one on the Insight page.")
        chart = meter.insight(store, codec.now()).charts[charts[name]]
        if kind == "csv":
            return _attached(file, plots.chart_csv(chart))
        if not chart.rows:
            raise HTTPException(404, "there is nothing to draw yet; the Insight page says why.")
        return _attached(file, plots.chart_png(chart))

    return routes


def _attached(file: str, content: str | bytes) -> Response:
    headers = {
        "content-disposition": f'attachment; filename="herdmark-{file}"',
        "cache-control": "no-store",
    }
    return Response(content, 200, headers, _TYPES[file.rpartition(".")[2]])
