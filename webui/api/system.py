"""What the launcher knows, for the System tab: `/api/system` and below.

Invariants: everybody who may see the page may look; only the owner reads the log and changes anything; long work is
done by processes of the supervisor, so that this one never waits for a disk or a mirror.
"""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from launcher.access import AccessRules
from launcher.access.credentials import TOKEN_HOLDER
from launcher.channel import ChannelError
from launcher.errors import SpeechError
from webui.api.answers import WHO
from webui.api.body import read_object
from webui.api.log_tail import tail
from webui.api.queries import path_number, whole
from webui.supervisor_link import SupervisorLink

_FRESH = {"Cache-Control": "no-store"}
#: What may be done with an engine: the word here, the supervisor's command.
_ENGINE_COMMANDS = {"load": "load", "unload": "unload", "reload": "restart"}
_MAX_LINES = 1000


class OwnerOnlyError(SpeechError):
    """Somebody else may look and nothing more."""

    def __init__(self) -> None:
        super().__init__(
            "Only the owner may do this.",
            fix="Sign in with LAUNCHER_TOKEN, or open the page on the machine itself.",
            code="owner_only",
            http_status=403,
        )


class RefusedError(SpeechError):
    """The supervisor says no, or nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason[:300], code="refused", http_status=409)


def is_owner(request: Request, rules: AccessRules) -> bool:
    """Whether a request, which the guard let pass, comes from who runs this: with the token, or from the machine.

    A user of LAUNCHER_USERS is not the owner. Where nobody needs a token, whoever sits at the machine is.
    """
    if rules.holders:
        return bool(request.scope.get(WHO) == TOKEN_HOLDER)
    try:
        return ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False


def routes(link: SupervisorLink, rules: AccessRules, log_dir: str) -> list[Route]:
    """The routes.

    Args:
        link: the supervisor, which knows and does everything here.
        rules: who the owner is.
        log_dir: where the log lies; empty: it is not shown.
    """
    return [*_to_look(link, rules, log_dir), *_to_act(link, rules)]


def _to_look(link: SupervisorLink, rules: AccessRules, log_dir: str) -> list[Route]:

    async def overview(request: Request) -> Response:
        told = await _ask(link, "errands")
        return JSONResponse({"owner": is_owner(request, rules), **told}, headers=_FRESH)

    async def figures(_request: Request) -> Response:
        return JSONResponse(await _ask(link, "figures"), headers=_FRESH)

    async def log(request: Request) -> Response:
        _require(request, rules)
        count = min(whole(request, "lines") or 200, _MAX_LINES)
        level = request.query_params.get("level", "").upper()
        lines = await asyncio.to_thread(tail, Path(log_dir), count, level=level) if log_dir else []
        return JSONResponse({"lines": lines}, headers=_FRESH)

    return [
        Route("/api/system", overview, methods=["GET"]),
        Route("/api/system/figures", figures, methods=["GET"]),
        Route("/api/system/log", log, methods=["GET"]),
    ]


def _to_act(link: SupervisorLink, rules: AccessRules) -> list[Route]:
    async def send(request: Request) -> Response:
        wanted = await read_object(request)
        kind, model = str(wanted.get("kind", "")), str(wanted.get("model") or "")
        if kind != "look":
            _require(request, rules)
        return JSONResponse(await _ask(link, "errand", kind=kind, model=model), 202)

    async def cancel(request: Request) -> Response:
        _require(request, rules)
        return JSONResponse(await _ask(link, "cancel-errand", number=path_number(request, "number")))

    async def engine(request: Request) -> Response:
        _require(request, rules)
        wanted = await read_object(request)
        command = _ENGINE_COMMANDS.get(str(wanted.get("do")))
        if command is None:
            raise SpeechError("An engine can be told to load, unload or reload.", param="do")
        component = str(wanted.get("component") or "engine")
        if not component.startswith("engine"):
            raise SpeechError("Name an engine.", param="component")
        return JSONResponse(await _ask(link, command, component=component), 202)

    return [
        Route("/api/system/errands", send, methods=["POST"]),
        Route("/api/system/errands/{number}", cancel, methods=["DELETE"]),
        Route("/api/system/engine", engine, methods=["POST"]),
    ]


def _require(request: Request, rules: AccessRules) -> None:
    """Raises `OwnerOnlyError` unless the owner asks."""
    if not is_owner(request, rules):
        raise OwnerOnlyError


async def _ask(link: SupervisorLink, command: str, **arguments: Any) -> dict[str, Any]:
    try:
        return await link.ask(command, **arguments)
    except ChannelError as error:
        raise RefusedError(str(error)) from None
