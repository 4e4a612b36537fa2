"""Errors as RFC 9457 problem documents with a stable `code`."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog
from aiohttp import web
from pydantic import ValidationError

from shared.errors import Transient

log = structlog.get_logger()


class Problem(Exception):
    """Raised by a handler to answer with an error.

    `code` is stable and for programs, `detail` a sentence for people that says what to do; `more` are further
    members of the document (for example `field`).
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers, self.more = status, code, detail, headers or {}, more

    def response(self) -> web.Response:
        """The answer."""
        document = {"type": "about:blank", "status": self.status, "code": self.code, "detail": self.detail} | self.more
        return web.Response(
            status=self.status,
            body=orjson.dumps(document),
            content_type="application/problem+json",
            headers=self.headers,
        )


def not_found(what: str) -> Problem:
    """404 for a thing that is not there, or not the caller's to see."""
    return Problem(404, "not_found", f"There is no such {what}.")


def invalid(error: ValidationError, part: str = "body") -> Problem:
    """422 naming the first wrong field of the request's `part`, and all of them in `errors`."""
    errors = [
        {"field": ".".join(str(step) for step in item["loc"]) or part, "message": item["msg"]}
        for item in error.errors(include_input=False, include_url=False)
    ]
    first = errors[0]
    return Problem(422, "invalid_request", f"{first['field']}: {first['message']}", field=first["field"], errors=errors)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises into a problem document; a bug of ours is a 500 without its details."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        code = error.reason.lower().replace(" ", "_")
        return Problem(error.status, code, f"{error.reason}: {request.path}", headers=headers).response()
    except Transient as error:
        log.warning("request_refused", path=request.path, reason=str(error))
        return Problem(
            503, "temporarily_unavailable", "Try again in a few seconds.", headers={"Retry-After": "5"}
        ).response()
    except Exception:
        log.exception("request_failed", path=request.path)
        return Problem(500, "internal_error", "This is our fault; it has been logged.").response()
