"""The pages for people: the API's document rendered without a network, and what each error code means."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, RedirectResponse

from app.codes import CODES, title_of
from app.requests import StrictRoute
from headstart.errors import not_found

router = APIRouter(route_class=StrictRoute, include_in_schema=False)

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


@router.get("/")
async def root() -> Response:
    return RedirectResponse("/docs", 307)


@router.get("/docs")
async def docs() -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Headstart API",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="/docs/favicon-32x32.png",
        swagger_ui_parameters={"persistAuthorization": True, "filter": True},
    )


@router.get("/docs/errors")
async def errors() -> HTMLResponse:
    rows = "".join(f'<dt id="{code}"><code>{code}</code> {title_of(code)}</dt><dd>{escape(words)}</dd>' for code, words in CODES.items())
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Headstart: errors</title>"
        "<link rel=icon href=/docs/favicon-32x32.png>"
        "<style>body{font:16px/1.5 system-ui;max-width:48rem;margin:2rem auto;padding:0 1rem}dt{margin-top:1rem;font-weight:600}</style>"
        f"<h1>Errors</h1><p>Every error is <code>application/problem+json</code>; programs branch on <code>code</code>.</p><dl>{rows}</dl>"
    )


@router.get("/docs/{name}")
def asset(name: str) -> Response:
    if name not in _ASSETS:
        raise not_found("page")
    content = files("fastapi_swagger").joinpath("resources", name).read_bytes()
    return Response(content, media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})
