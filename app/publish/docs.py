"""The contract as pages: Swagger UI and ReDoc from this hub alone, for networks without the internet.

The scripts come from the package `fastapi-offline`. Nothing is inline, so that a page runs under a policy that allows
scripts of this hub only; ReDoc writes its styles at run time and asks for them to be allowed.
"""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from app.protocol.errors import NotFound
from app.web import json

router = APIRouter(include_in_schema=False)
_HERE = Path(__file__).parent.parent
# Shipped inside the package by the wheel; in a checkout it stands with the hub's own contract.
PEER = next((p for p in (_HERE / "openapi/peer.yaml", _HERE.parent / "openapi/peer.yaml") if p.exists()), Path())
ASSETS = Path(str(files("fastapi_offline") / "static"))
KINDS = {
    "swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript", "redoc.standalone.js": "text/javascript",
    "favicon.png": "image/png",
}  # fmt: skip
CONTRACTS = {"hub": "/openapi.json", "peer": "/openapi/peer.yaml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SWAGGER = """<!doctype html><html lang=zh-CN><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>互通 API</title><link rel=icon href=/docs/assets/favicon.png><link rel=stylesheet href=/docs/assets/swagger-ui.css>
<div id=contract data-url={url}></div>
<script src=/docs/assets/swagger-ui-bundle.js></script><script src=/docs/assets/start.js></script></html>"""
# The search of ReDoc would start a worker from a blob, which the policy forbids.
REDOC = """<!doctype html><html lang=zh-CN><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>互通 API</title><link rel=icon href=/docs/assets/favicon.png>
<redoc spec-url={url} disable-search=true hide-hostname=true></redoc>
<script src=/docs/assets/redoc.standalone.js></script></html>"""
START = """const place = document.getElementById("contract");
SwaggerUIBundle({url: place.dataset.url, domNode: place, deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout"});
"""


@router.get("/docs")
@router.get("/docs/{contract}")
def swagger(contract: str = "hub") -> Response:
    """Swagger UI of the hub's contract, or of IX/1 (`peer`)."""
    return _page(SWAGGER, contract)


@router.get("/redoc")
@router.get("/redoc/{contract}")
def redoc(contract: str = "hub") -> Response:
    """ReDoc of the hub's contract, or of IX/1 (`peer`)."""
    return _page(REDOC, contract)


def _page(template: str, contract: str) -> Response:
    if contract not in CONTRACTS:
        raise NotFound(f"there is no such contract; there are {', '.join(CONTRACTS)}")
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
    return Response(template.format(url=CONTRACTS[contract]), headers=headers, media_type="text/html; charset=utf-8")


@router.get("/docs/assets/start.js")
def start() -> Response:
    """What starts Swagger UI."""
    return Response(START, media_type="text/javascript")


@router.get("/docs/assets/{name}")
def asset(name: str) -> Response:
    """A script, a style sheet or the icon."""
    if name not in KINDS:
        raise NotFound("there is no such file")
    return FileResponse(ASSETS / name, media_type=KINDS[name], headers={"Cache-Control": "public, max-age=86400"})


@router.get("/openapi.json")
def hub(request: Request) -> Response:
    """The hub's own contract as OpenAPI 3.1."""
    return json(request.app.openapi())


@router.get("/openapi/peer.yaml")
def peer() -> Response:
    """IX/1 as OpenAPI 3.1, as it stands in the repository."""
    if not PEER.is_file():
        raise NotFound("this installation came without openapi/peer.yaml")
    return FileResponse(PEER, media_type="application/yaml")
