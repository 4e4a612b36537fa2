"""The OpenAPI document, made from the routes themselves, and a page to read it with."""

import re
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.web.routes import ROUTES, Access, Nothing, Route

_PROBLEM = {
    "type": "object",
    "required": ["type", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable, for programs"},
        "detail": {"type": "string", "description": "a sentence for people"},
    },
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 description of `routes`."""
    taken: set[type[BaseModel]] = {route.describes_body or route.body for route in routes} - {Nothing}
    queries: set[type[BaseModel]] = {route.query for route in routes} - {Nothing}
    answers: set[type[BaseModel]] = {route.answer for route in routes} - {Nothing}
    references, definitions = models_json_schema(
        [(model, "validation") for model in taken | queries] + [(model, "serialization") for model in answers],
        ref_template="#/components/schemas/{model}",
    )
    schemas = definitions.get("$defs", {})
    paths: dict[str, Any] = {}
    for route in sorted(routes, key=lambda route: route.path):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, references, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tradecast", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": schemas | {"Problem": _PROBLEM},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(route: Route, references: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answered: dict[str, Any] = {"description": "done"}
    if route.answer is not Nothing:
        answered["content"] = {"application/json": {"schema": references[(route.answer, "serialization")]}}
    status = "204" if route.answer is Nothing and route.status == 200 else str(route.status)
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{re.sub(r'[^a-z0-9]+', '_', route.path.lower()).strip('_')}",
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", route.path)
        ]
        + ([] if route.query is Nothing else _query_parameters(references[(route.query, "validation")], schemas)),
        "responses": {status: answered, "default": {"description": "a problem", "content": problem}},
    }
    body = route.describes_body or route.body
    if body is not Nothing:
        schema = references[(body, "validation")]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if route.access is not Access.ANYONE:
        operation["security"] = [{"bearer": []}]
    return operation


def _query_parameters(reference: dict[str, str], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    schema = schemas[reference["$ref"].rsplit("/", 1)[1]]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema.get("properties", {}).items()
    ]


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Tradecast API</title>
<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}code{font-size:.95em}
h2{margin-top:2rem}li{margin:.3rem 0}</style><h1>Tradecast API</h1>
<p>Machine-readable: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p><ul>%s</ul></html>"""


def mount(app: web.Application) -> None:
    """Serve `/openapi.json` and `/docs` for all routes mounted on `app` by the time they are asked for."""
    routes: list[Route] = app[ROUTES]

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(document(routes)), content_type="application/json")

    async def docs(_request: web.Request) -> web.Response:
        rows = "".join(
            f"<li><code>{route.method} {route.path}</code> — {route.summary}</li>"
            for route in sorted(routes, key=lambda route: route.path)
        )
        return web.Response(text=_PAGE % rows, content_type="text/html")

    app.router.add_get("/openapi.json", openapi)
    app.router.add_get("/docs", docs)
