"""The page, and the addresses under /look/ that it asks; no part of the public API."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import Field
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from hornbook.serve.errors import ApiError, json_response
from hornbook.serve.look import documents
from hornbook.serve.look.microscope import attention_maps, look
from hornbook.serve.look.nearest import nearest
from hornbook.serve.look.runs import Runs
from hornbook.serve.look.split import Splitter
from hornbook.serve.requests import Body
from hornbook.serve.service import Service

PAGE = Path(__file__).parents[1] / "page"
Text = Annotated[str, Field(max_length=20_000)]


class SplitRequest(Body):
    """A text and the runs whose tokenizers split it."""

    text: Text
    runs: Annotated[list[str], Field(min_length=1, max_length=8)]


class LookRequest(Body):
    """A text for a model to read; ``layer`` asks for its attention maps instead."""

    model: str | None = None
    text: Text
    layer: int | None = None


class NearestRequest(Body):
    """A text to look for in a run's training shards."""

    run: str
    text: Text


def add_page(
    app: FastAPI, service: Service, runs: Runs, curation: tuple[str, ...]
) -> None:
    """Everything the page needs."""
    splitter = Splitter(runs)
    _add_files(app)
    _add_runs(app, runs, curation)
    _add_inside(app, service, runs, splitter)


def _add_files(app: FastAPI) -> None:
    app.mount("/page", StaticFiles(directory=PAGE), name="page")

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return FileResponse(PAGE / "index.html")

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return FileResponse(PAGE / "icon.svg")


def _add_runs(app: FastAPI, runs: Runs, curation: tuple[str, ...]) -> None:
    # Plain functions: they read files, so they run beside the event loop.
    @app.get("/look/runs", include_in_schema=False)
    def overview() -> Response:
        return json_response(runs.overview())

    @app.get("/look/diary", include_in_schema=False)
    def diary(run: str, stage: str, after: int = Query(0, ge=0)) -> Response:
        return json_response(runs.diary(run, stage, after))

    @app.get("/look/funnel", include_in_schema=False)
    def funnel(run: str) -> Response:
        return json_response(documents.funnel(runs, run, curation))

    @app.get("/look/clusters", include_in_schema=False)
    def clusters(
        run: str, start: int = Query(0, ge=0), count: int = Query(10, ge=1, le=50)
    ) -> Response:
        return json_response(documents.clusters(runs, run, start, count))

    @app.get("/look/story", include_in_schema=False)
    def story(run: str, document: str) -> Response:
        return json_response(documents.story(runs, run, document, curation))


def _add_inside(app: FastAPI, service: Service, runs: Runs, splitter: Splitter) -> None:
    @app.get("/look/tokenizers", include_in_schema=False)
    def tokenizers() -> Response:
        return json_response(splitter.names())

    @app.post("/look/split", include_in_schema=False)
    async def split(asked: SplitRequest) -> Response:
        return json_response([splitter.split(run, asked.text) for run in asked.runs])

    @app.post("/look/model", include_in_schema=False)
    async def model(asked: LookRequest) -> Response:
        name, _ = service.pick(asked.model)
        return json_response(await service.worker.call(name, _work(asked)))

    @app.post("/look/nearest", include_in_schema=False)
    async def near(asked: NearestRequest) -> Response:
        folder = runs.folder(asked.run) / "shards" / "train"
        if not folder.is_dir():
            raise ApiError(404, f"The run '{asked.run}' has no shards yet.")
        tokenizer = splitter.tokenizer(asked.run)
        ids = tokenizer.encode(asked.text)[:256]
        found = await asyncio.to_thread(nearest, folder, tokenizer, ids)
        return json_response(found)


def _work(asked: LookRequest) -> Any:
    layer = asked.layer
    if layer is None:
        return lambda engine: look(engine, asked.text)
    return lambda engine: attention_maps(engine, asked.text, layer)
