"""Static files: our style sheet and script, and htmx; kept for ever by browsers, since their address holds their hash."""

import os

from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope


class Assets(StaticFiles):
    """Files under `static/`; an address with its hash never changes what it answers."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, for a year when the address names its content."""
        answer = super().file_response(full_path, stat_result, scope, status_code)
        lasting = scope.get("query_string", b"").startswith(b"v=")
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer
