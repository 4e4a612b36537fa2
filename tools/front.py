"""One origin over separate processes, as the ingress gives it in production: routes by path, nothing else."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

GATEWAY, REGISTRY, LEDGER = "WEBHOOK_GATEWAY_URL", "BOT_REGISTRY_URL", "LEDGER_URL"
_ROUTES = (
    ("/api/v1/bots/webhook/", GATEWAY),
    ("/api/v1/stops/", REGISTRY),  # ending one; the list is the ledger's
    *(
        (f"/api/v1/{name}", LEDGER)
        for name in ("signals", "executions", "positions", "attention", "reasons", "audit", "stops", "stream")
    ),
    ("/", REGISTRY),
)
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host"}
_RESOLVE = re.compile(r"/api/v1/executions/[^/]+/resolve")  # a person's word; what is read of them is the ledger's
SESSION = web.AppKey("session", aiohttp.ClientSession)


def build(environment: Mapping[str, str]) -> web.Application:
    """The front of a local installation."""
    app = web.Application(client_max_size=1 << 20)

    async def forward(request: web.Request) -> web.StreamResponse:
        upstream = environment[REGISTRY if _RESOLVE.fullmatch(request.path) else _owner(request.path)]
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        headers["X-Forwarded-For"] = ", ".join(
            [*request.headers.getall("X-Forwarded-For", []), request.remote or "unknown"]
        )
        try:
            async with app[SESSION].request(
                request.method,
                upstream + request.path_qs,
                headers=headers,
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            ) as answer:
                return await _relay(request, answer)
        except aiohttp.ClientConnectionError:
            return web.json_response({"status": 503, "code": "temporarily_unavailable"}, status=503)

    async def openapi(_request: web.Request) -> web.Response:
        documents = await asyncio.gather(*(_json(app[SESSION], environment[n]) for n in (REGISTRY, GATEWAY, LEDGER)))
        whole = documents[0]
        for document in documents[1:]:
            whole["paths"] |= document["paths"]
            whole["components"]["schemas"] |= document["components"]["schemas"]
        return web.json_response(whole)

    async def session(_app: web.Application) -> Any:
        async with aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)) as opened:
            app[SESSION] = opened
            yield

    app.cleanup_ctx.append(session)
    app.router.add_get("/openapi.json", openapi)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


def _owner(path: str) -> str:
    return next(name for prefix, name in _ROUTES if path.startswith(prefix))


async def _relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


async def _json(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(f"{url}/openapi.json") as answer:
        return await answer.json()
