"""Static files: read once, served from memory under a version that changes with their content."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
    "md": "text/plain; charset=utf-8",
}
_PACKED = frozenset({"css", "js", "svg"})
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is sent."""

    content: bytes
    packed: bytes | None
    media_type: str
    version: str


class Assets:
    """Every file under ``static``, by its path there."""

    def __init__(self) -> None:
        self._files: dict[str, Asset] = {}
        self._read(resources.files("ruapi.console") / "static", "")

    def _read(self, folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            path = f"{prefix}{entry.name}"
            if entry.is_dir():
                self._read(entry, f"{path}/")
            elif (ending := entry.name.rpartition(".")[2]) in _TYPES:
                content = entry.read_bytes()
                self._files[path] = Asset(
                    content=content,
                    packed=gzip.compress(content, mtime=0) if ending in _PACKED else None,
                    media_type=_TYPES[ending],
                    version=hashlib.sha256(content).hexdigest()[:12],
                )

    def url(self, path: str) -> str:
        """Where a page finds the file; an unknown one is an error of the template. ``#fragment`` may follow."""
        name, mark, fragment = path.partition("#")
        return f"/static/{name}?v={self._files[name].version}{mark}{fragment}"

    def serve(self, request: Request) -> Response:
        """Answer a request for a file."""
        asset = self._files.get(request.path_params["path"])
        if asset is None:
            return PlainTextResponse("There is no such file.\n", status_code=404)
        fresh = request.query_params.get("v") == asset.version
        headers = {
            "cache-control": _FOREVER if fresh else "no-cache",
            "etag": f'"{asset.version}"',
            "vary": "accept-encoding",
        }
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        content = asset.content
        if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            content = asset.packed
            headers["content-encoding"] = "gzip"
        return Response(content, headers=headers, media_type=asset.media_type)
