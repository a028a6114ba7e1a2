"""How the page's server says that something went wrong: one form for programs, one for people, OpenAI's under /v1/.

Invariants: an error is one sentence and, where there is one, the way out; never a traceback, never a secret; what came
from a request is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, Response

from launcher.errors import ENGINE_ERROR, DiskFullError, EngineError, LauncherError, SpeechError, StorageError
from webui.engine.client import EngineAwayError
from webui.queueing import QueueFullError

#: In a request's scope: the name that came with its token, written by the guard; empty when none is needed.
WHO = "tts_launcher.who"
#: OpenAI's ``type`` words by status; the client library looks at the status, people at the word.
_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    507: "server_error",
}

_PAGE = """<!doctype html><html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{status}</title><style>body{{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem;
color-scheme:light dark}}</style><h1>{status}</h1><p>{message}</p><p>{fix}</p><p><a href="{home}">⟵</a></p></html>"""


def error_answer(
    connection: HTTPConnection,
    status: int,
    message: str,
    *,
    fix: str = "",
    param: str = "",
    code: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error in the form that whoever asked can read.

    Args:
        connection: the request.
        status: HTTP status.
        message: one sentence.
        fix: one sentence or empty.
        param: the request's field at fault, or empty.
        code: a stable word for programs, or empty.
        headers: besides the content type.
    """
    path = connection.scope.get("path", "")
    if path.startswith("/v1/"):
        return JSONResponse(openai_error(status, message, fix, param, code), status, headers)
    if not path.startswith("/api/") and "text/html" in connection.headers.get("accept", ""):
        home = connection.scope.get("root_path", "") + "/"
        page = _PAGE.format(
            status=status, message=html.escape(message), fix=html.escape(fix), home=html.escape(home, quote=True)
        )
        return HTMLResponse(page, status, headers)
    return JSONResponse({"error": {"message": message, "fix": fix, "param": param, "code": code}}, status, headers)


def openai_error(status: int, message: str, fix: str, param: str, code: str) -> dict[str, dict[str, str | None]]:
    """The object with which OpenAI's API says that something went wrong."""
    error = {
        "message": f"{message} {fix}".strip(),
        "type": _OPENAI_TYPES.get(status, "invalid_request_error"),
        "param": param or None,
        "code": code or None,
    }
    return {"error": error}


def launcher_error_answer(connection: HTTPConnection, error: LauncherError) -> Response:
    """The answer to a request that ended with ``error``."""
    status, param, code, headers = describe_error(error)
    return error_answer(connection, status, error.message, fix=error.fix, param=param, code=code, headers=headers)


def describe_error(error: LauncherError) -> tuple[int, str, str, dict[str, str]]:
    """Status, field, code and headers of the answer to a request that ended with ``error``."""
    if isinstance(error, SpeechError):
        headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, QueueFullError) else {}
        return error.http_status, error.param, error.code, headers
    if isinstance(error, EngineAwayError):
        return 503, "", "engine_loading" if error.loading else "engine_away", {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, DiskFullError):
        return 507, "", "disk_full", {}
    if isinstance(error, StorageError):
        return 500, "", "storage_error", {}
    return 500, "", error.code if isinstance(error, EngineError) else ENGINE_ERROR, {}
