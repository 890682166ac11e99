"""Files of the pages that are the same for everybody, at their addresses."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from reports.web.site import StaticFile


class Assets:
    """Files of the pages. A browser keeps one that it asked for with its digest, as `asset` in templates writes it.

    Scripts load others by name alone: of those it asks each time whether they are still the same.
    """

    def __init__(self, files: Mapping[str, StaticFile]) -> None:
        self._files = files

    def file(self, request: Request) -> Response:
        """One of them."""
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        keep = "private, max-age=31536000, immutable" if request.url.query == found.digest else "private, no-cache"
        headers = {"Content-Type": found.media_type, "Cache-Control": keep, "ETag": f'"{found.digest}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(found.content, headers=headers)
