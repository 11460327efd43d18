"""What answers where: the endpoints, each a line or two that call their own file."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.responses import Response

from hornbook import __version__
from hornbook.serve import answers as a
from hornbook.serve import requests as r
from hornbook.serve.chat import chat
from hornbook.serve.completions import complete
from hornbook.serve.embeddings import embed
from hornbook.serve.errors import ApiError, add_handlers, json_response
from hornbook.serve.gate import Gate
from hornbook.serve.look.routes import add_page
from hornbook.serve.look.runs import Runs
from hornbook.serve.service import Service
from hornbook.serve.tokens import detokenize, tokenize, tokenizer_info


def create_app(
    service: Service,
    keys: Iterable[str] = (),
    hosts: Iterable[str] = (),
    runs: Runs | None = None,
    curation: tuple[str, ...] = (),
) -> FastAPI:
    """The application; ``keys`` and ``hosts`` as in gate.py.

    ``runs`` are those the page shows, ``curation`` the names of their data stages.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        service.worker.start()
        yield
        service.worker.stop()

    app = FastAPI(
        title="Hornbook",
        version=__version__,
        lifespan=life,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    add_handlers(app)
    _add_models(app, service)
    _add_writing(app, service)
    _add_tokens(app, service)
    _add_operations(app, service)
    add_page(app, service, runs or Runs([], ()), curation)
    app.add_middleware(Gate, limits=service.limits, keys=keys, hosts=hosts)
    return app


def _add_writing(app: FastAPI, service: Service) -> None:
    @app.post("/v1/chat/completions", responses=a.answers(a.Chat, streams=True))
    async def chat_completions(asked: r.ChatRequest, request: Request) -> Response:
        """The next turn of a conversation."""
        return await chat(service, asked, request)

    @app.post("/v1/completions", responses=a.answers(a.Completion, streams=True))
    async def completions(asked: r.CompletionRequest, request: Request) -> Response:
        """Text that goes on from a prompt; with ``echo``, how likely the prompt was."""
        return await complete(service, asked, request)

    @app.post("/v1/embeddings", responses=a.answers(a.Embeddings))
    async def embeddings(asked: r.EmbeddingRequest, request: Request) -> Response:
        """A vector for each input."""
        return await embed(service, asked, request)


def _add_models(app: FastAPI, service: Service) -> None:
    def card(name: str) -> dict[str, object]:
        model = service.worker.models.get(name)
        length = model.engine.model.config.context_length if model else None
        return {
            "id": name,
            "object": "model",
            "created": service.created,
            "owned_by": "hornbook",
            "max_model_len": length,
        }

    @app.get("/v1/models", responses=a.answers(a.Models))
    async def models() -> Response:
        """The models served here; the first is meant where a request names none."""
        cards = [card(name) for name in service.names]
        return json_response({"object": "list", "data": cards})

    @app.get("/v1/models/{model}", responses=a.answers(a.ModelCard))
    async def one_model(model: str) -> Response:
        """One of them."""
        if model not in service.names:
            told = f"There is no model '{model}' here."
            raise ApiError(404, told, "model_not_found", "model")
        return json_response(card(model))


def _add_tokens(app: FastAPI, service: Service) -> None:
    @app.post("/tokenize", responses=a.answers(a.Tokens))
    async def ids(asked: r.TokenizeRequest) -> Response:
        """The ids of a text or a conversation."""
        return json_response(tokenize(service, asked))

    @app.post("/detokenize", responses=a.answers(a.Prompt))
    async def text(asked: r.DetokenizeRequest) -> Response:
        """The text of ids."""
        return json_response(detokenize(service, asked))

    @app.get("/tokenizer_info", responses=a.answers(a.TokenizerInfo))
    async def info(model: str | None = None) -> Response:
        """The tokenizer's marks and its chat template."""
        return json_response(tokenizer_info(service, model))


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get(
        "/health",
        responses={200: {"model": a.Health}, 503: {"model": a.Health}},
    )
    async def health() -> Response:
        """Whether requests can be served now."""
        if service.worker.ready:
            return json_response({"status": "ok"})
        return json_response({"status": "loading"}, 503, {"retry-after": "1"})

    @app.get("/metrics", responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Counters for Prometheus."""
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(service.meters.text(), media_type=kind)
