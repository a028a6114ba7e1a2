"""Opening the page in a browser, when there is somebody to look at it.

Invariant: a browser that does not start never stops the launcher.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping


def wants_browser(choice: str, environ: Mapping[str, str], platform: str, *, has_terminal: bool) -> bool:
    """Whether to open a browser.

    Args:
        choice: ``auto``, ``yes`` or ``no`` (LAUNCHER_OPEN_BROWSER).
        environ: the environment.
        platform: as `sys.platform`.
        has_terminal: whether a person sees our output.
    """
    if choice != "auto":
        return choice == "yes"
    if not has_terminal or "SSH_CONNECTION" in environ or "CI" in environ:
        return False
    if platform in ("win32", "darwin"):
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def open_page(choice: str, url: str, tell: Callable[[str], None]) -> None:
    """Opens ``url`` in a thread when `wants_browser` says so; ``tell`` hears when that fails."""
    if not wants_browser(choice, os.environ, sys.platform, has_terminal=sys.stderr.isatty()):
        return

    def work() -> None:
        import webbrowser

        if not webbrowser.open(url):
            tell(f"No browser could be opened; open {url} yourself.")

    threading.Thread(target=work, name="browser", daemon=True).start()
