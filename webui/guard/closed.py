"""Routes that Gradio has and nobody here needs; each would be one more thing to keep safe.

Invariant: what is not known to be needed under ``/gradio_api/`` is closed, so a new version opens nothing.
"""

from __future__ import annotations

#: What the page and `gradio_client` ask.
_OPEN = (
    *("info", "startup-events", "heartbeat/", "app_id", "queue/join", "queue/data", "queue/status"),
    *("call/", "run/", "api/", "cancel", "reset", "file="),
)
_GRADIO = "/gradio_api/"
#: Routes beside that: run histories, developer's tools, other servers' files.
_CLOSED = (
    *("/runs", "/run-history", "/dev/", "/monitoring", "/profiling", "/vibe", "/undo-vibe", "/proxy=", "/file="),
    *("/file/", "/stream/", "/custom_component/", "/component_server", "/upload", "/deep_link", "/process_recording"),
    *("/token", "/user", "/login_check", "/pwa_icon"),
)


def is_closed(path: str) -> bool:
    """Whether a path is a route of Gradio's that nobody here needs."""
    if path.startswith(_GRADIO):
        return not path.removeprefix(_GRADIO).startswith(_OPEN)
    return path.startswith(_CLOSED)
