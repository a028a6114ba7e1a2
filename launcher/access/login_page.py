"""The page with the login form, the same on the loading page's server and on the page's.

Invariants: it needs nothing but itself; what came from a request stands in it only as data that no markup ends.
"""

from __future__ import annotations

import base64
import functools
import json
import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

_TEMPLATE = Path(__file__).resolve().parent / "login.html"


def render_login(root_path: str, problem: str = "", who: str = "") -> tuple[str, str]:
    """The page and the policy to send with it.

    Args:
        root_path: path under which a reverse proxy shows everything; empty or ``/...``.
        problem: ``wrong``, ``too_many`` or empty.
        who: the name of whoever is logged in already, and may log out here; empty: nobody.
    """
    return fill(login_template(), root_path, {"problem": problem, "who": who})


@functools.cache
def login_template() -> str:
    """The page's template, read once: an update may take the file away while a process of the old version goes on."""
    return _TEMPLATE.read_text(encoding="utf-8")


def fill(template: str, root_path: str, data: Mapping[str, Any]) -> tuple[str, str]:
    """A page from its template, and the policy under which only its own scripts and styles run.

    Args:
        template: with ``{{nonce}}``, ``{{root}}`` and ``{{data}}``.
        root_path: as above.
        data: for the page's script, with ``root`` added.
    """
    nonce = base64.b64encode(os.urandom(18)).decode()
    # "<" is the only character by which text inside a script element could end it.
    embedded = json.dumps({**data, "root": root_path}, ensure_ascii=False).replace("<", "\\u003c")
    # The data last: what a log line says must not be taken for a placeholder.
    text = template.replace("{{nonce}}", nonce).replace("{{root}}", escape(root_path, quote=True))
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return text.replace("{{data}}", embedded), policy
