"""Typed routes: what a route takes and gives is said once, checked at run time and described in OpenAPI.

A room's `http.py` makes a list of routes; `mount` puts it on an application. The handler gets a `Call` with the
parsed body and query and returns a model, which is the answer.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import money
from shared.web.auth import Identity, Role, TokenVerifier
from shared.web.problems import Problem, invalid, not_found


class Nothing(BaseModel):
    """An empty body, query or answer."""


class Request(BaseModel):
    """Base of request bodies and queries: an unknown field is an error that names it, not a silent loss."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Access(Enum):
    """Who may call a route."""

    ANYONE = "anyone"
    USER = "user"
    ADMIN = "admin"


BodyT = TypeVar("BodyT", bound=BaseModel)
QueryT = TypeVar("QueryT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call(Generic[BodyT, QueryT]):
    """One checked request. `path` holds the path's parameters as text."""

    request: web.Request
    caller: Identity | None
    body: BodyT
    query: QueryT
    path: dict[str, str]

    @property
    def user(self) -> Identity:
        """The caller of a route that only users may call."""
        assert self.caller is not None, "the route says who may call it"
        return self.caller

    def id(self, name: str, what: str) -> UUID:
        """The path's parameter `name` as a UUID; what is none names nothing: 404."""
        try:
            return UUID(self.path[name])
        except ValueError:
            raise not_found(what) from None


Handler = Callable[[Call[Any, Any]], Awaitable[BaseModel | web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API."""

    method: str
    path: str
    handler: Handler
    summary: str
    access: Access = Access.USER
    body: type[BaseModel] = Nothing
    query: type[BaseModel] = Nothing
    answer: type[BaseModel] = Nothing
    status: int = 200
    tag: str = ""
    describes_body: type[BaseModel] | None = None  # of a handler that reads the body itself


VERIFIER = web.AppKey("verifier", TokenVerifier)
ROUTES = web.AppKey("routes", list[Route])


def mount(app: web.Application, routes: Sequence[Route]) -> None:
    """Serve `routes` from `app`, and remember them for its OpenAPI document."""
    for route in routes:
        app.router.add_route(route.method, route.path, _adapter(route))
    app[ROUTES].extend(routes)


def _adapter(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        caller = None if route.access is Access.ANYONE else request.app[VERIFIER].identity(request)
        if route.access is Access.ADMIN and caller is not None and caller.role is not Role.ADMIN:
            raise Problem(403, "forbidden", "Only an administrator may do this.")
        body = await _body(request, route.body)
        query = _checked(route.query, {k: v for k, v in request.query.items() if k != "access_token"}, "query")
        answer = await route.handler(Call(request, caller, body, query, dict(request.match_info)))
        if isinstance(answer, web.StreamResponse):
            return answer
        if route.answer is Nothing:
            return web.Response(status=204)
        return web.Response(status=route.status, text=answer.model_dump_json(), content_type="application/json")

    return handle


async def _body(request: web.Request, model: type[BaseModel]) -> BaseModel:
    if model is Nothing:
        return Nothing()
    try:
        fields = money.loads(await request.read() or b"{}")
    except ValueError:
        raise Problem(422, "invalid_json", "The body is not JSON.", field="body") from None
    return _checked(model, fields, "body")


def _checked(model: type[BaseModel], fields: Any, part: str) -> BaseModel:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise invalid(error, part) from None
