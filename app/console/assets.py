"""Static files: our style sheet and script, and htmx; kept for ever by browsers, since their address holds their hash."""

import gzip
import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Scope

TEXTS: Final = (".css", ".js", ".svg")


class Assets(StaticFiles):
    """Files under `static/`; an address with its hash never changes what it answers. Texts travel compressed."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, for a year when the address names its content."""
        answer = super().file_response(full_path, stat_result, scope, status_code)
        asked = Headers(scope=scope)
        if str(full_path).endswith(TEXTS):
            if isinstance(answer, FileResponse) and "gzip" in asked.get("accept-encoding", "") and "range" not in asked:
                kept = {name: answer.headers[name] for name in ("content-type", "etag", "last-modified")}
                answer = Response(_packed(str(full_path), stat_result.st_mtime_ns), headers=kept)
                answer.headers["Content-Encoding"] = "gzip"
            answer.headers["Vary"] = "Accept-Encoding"
        lasting = scope.get("query_string", b"").startswith(b"v=")
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer


@lru_cache(maxsize=64)
def _packed(path: str, changed_ns: int) -> bytes:
    """A file's content, compressed once as long as it does not change."""
    return gzip.compress(Path(path).read_bytes(), 9, mtime=0)
