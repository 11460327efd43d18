"""What goes wrong, as OpenAI's clients expect to be told: one JSON object, always.

{"error": {"message": ..., "type": ..., "param": ..., "code": ...}}
"""

from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hornbook.core.errors import UserError

KINDS = {  # by status; anything else is the server's own fault
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class ApiError(Exception):
    """An answer that is a refusal.

    ``param`` names the key of the request that is at fault, ``code`` is for programs.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ):
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = {} if retry_after is None else {"retry-after": str(retry_after)}

    def body(self) -> dict[str, Any]:
        """The JSON object that tells of it."""
        return {
            "error": {
                "message": self.message,
                "type": KINDS.get(self.status, "server_error"),
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> Response:
        """The whole answer."""
        return json_response(self.body(), self.status, self.headers)


class GoneError(Exception):
    """The client has closed the connection: there is nobody to answer."""


def json_response(
    value: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """``value`` as JSON; half a surrogate pair, which UTF-8 can't hold, becomes U+FFFD."""
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:
        data = msgspec.json.encode(_printable(value))
    return Response(data, status, headers, media_type="application/json")


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return value


def add_handlers(app: FastAPI) -> None:
    """Let every failure of ``app`` end in such an object."""

    @app.exception_handler(ApiError)
    async def _api(_: Request, error: ApiError) -> Response:
        return error.response()

    @app.exception_handler(UserError)
    async def _user(_: Request, error: UserError) -> Response:
        return ApiError(400, str(error)).response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        return _refusal(error).response()

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        answer = ApiError(error.status_code, f"{error.detail}.")
        answer.headers |= error.headers or {}
        return answer.response()

    @app.exception_handler(GoneError)
    async def _gone(_: Request, __: GoneError) -> Response:
        return Response(status_code=499)

    @app.exception_handler(Exception)
    async def _bug(_: Request, error: Exception) -> Response:
        kind = type(error).__name__
        return ApiError(500, f"The server failed on this request ({kind}).").response()


def _refusal(error: RequestValidationError) -> ApiError:
    """What is wrong with a request's shape, every key at fault named."""
    problems = error.errors()
    first = problems[0]
    if first["type"] == "json_invalid":
        return ApiError(400, "The body is not valid JSON.", "invalid_json")
    sentences = [
        f"{where}: {_wording(problem)}"
        if (where := _place(problem))
        else _wording(problem)
        for problem in problems[:5]
    ]
    unknown = first["type"] == "extra_forbidden"
    code = "unknown_parameter" if unknown else "invalid_value"
    return ApiError(422, "; ".join(sentences) + ".", code, _place(first) or None)


def _place(problem: dict[str, Any]) -> str:
    """The key at fault, in dots, without the names of alternatives that were tried."""
    parts = [
        part for part in problem["loc"][1:] if isinstance(part, int) or _is_key(part)
    ]
    return ".".join(map(str, parts))


def _is_key(part: str) -> bool:
    return not any(mark in part for mark in "[](),-") and not part[:1].isupper()


def _wording(problem: dict[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        return "this server has no such parameter"
    text = problem["msg"]
    return text[:1].lower() + text[1:]
