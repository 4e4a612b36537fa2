"""The HTTP side of a process: its services' routes, probes and metrics on one application."""

from collections.abc import Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared import service
from shared.service import Service, State
from shared.web import openapi
from shared.web.auth import TokenVerifier
from shared.web.problems import problems
from shared.web.routes import ROUTES, VERIFIER

_BODY_MAX_BYTES = 1 << 20


def application(states: Sequence[State], verifier: TokenVerifier | None = None) -> web.Application:
    """An application that answers for all `states`: `/healthz`, `/readyz`, `/metrics` and each service's own."""
    app = web.Application(middlewares=[problems], client_max_size=_BODY_MAX_BYTES)
    app[ROUTES] = []
    if verifier is not None:
        app[VERIFIER] = verifier

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_request: web.Request) -> web.Response:
        for state in states:
            if (missing := await state.waiting_for()) is not None:
                return web.json_response({"status": "waiting", "for": missing}, status=503)
        remarks = [remark for state in states for remark in state.service.remarks()]
        return web.json_response({"status": "ready"} | ({"remarks": remarks} if remarks else {}))

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    for state in states:
        state.service.mount(app)
    if app[ROUTES]:
        openapi.mount(app)
    return app


async def run(services: Sequence[Service], host: str, port: int, verifier: TokenVerifier | None = None) -> None:
    """Run services in this process until it is told to stop."""
    states = [State(service) for service in services]
    await service.run(states, application(states, verifier), host, port)
