"""The engine as the page sees it: its HTTP, as methods.

Invariants: every failure is a `LauncherError`; closing the generator that `speak` returned drops the connection,
which cancels the request in the engine; connections are opened per request, so a restarted engine is found at once.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from launcher.errors import ENGINE_ERROR, OUT_OF_MEMORY, EngineError, LauncherError, SpeechError
from launcher.frames import EVENT, Frame, FrameReader
from webui.engine.base import EngineInfo, SpeechRequest
from webui.engine.connections import ENDING
from webui.engine.exchange import Answer, SilentError, UnreachableError, ask

#: Connecting is local; the engine's loop answers `/health` and `/info` at once even while it loads or speaks.
CONNECT_S = 2.0
ANSWER_S = 10.0
#: After which to ask again, where the engine does not say: a restart of the embedded engine takes 3 to 8 s.
RETRY_AFTER_S = 5
#: Between two frames lies one segment's synthesis; on a slow CPU a long segment may take a minute.
SILENCE_S = 300.0


class EngineAwayError(EngineError):
    """The engine does not answer, is not ready, or died under the request; asking again later may help.

    Args:
        message: one sentence.
        fix: one sentence.
        retry_after_s: when to ask again.
        loading: whether the engine said itself that it is not ready yet.
        died: whether it had taken the request, so that it was ready before.
    """

    def __init__(
        self,
        message: str,
        *,
        fix: str = "",
        retry_after_s: int = RETRY_AFTER_S,
        loading: bool = False,
        died: bool = False,
    ) -> None:
        super().__init__(message, fix=fix or "It is restarted by itself; try again in a few seconds.")
        self.retry_after_s = retry_after_s
        self.loading = loading
        self.died = died


class EngineFailedError(EngineError):
    """The engine has ended too often, or cannot load: it does not come back by itself."""


class EngineClient:
    """Talks to one engine's process.

    Args:
        address: as `launcher.channel` writes addresses.
        token: of a TCP address.
    """

    def __init__(self, address: str, token: str = "") -> None:
        self._address = address
        self._token = token

    async def health(self) -> dict[str, Any]:
        """`/health`'s object.

        Raises:
            EngineAwayError: when the engine does not answer.
        """
        return await self._call("GET", "/health")

    async def info(self) -> EngineInfo:
        """What the engine is and can do.

        Raises:
            EngineError: while there is none.
        """
        return EngineInfo.from_json(await self._call("GET", "/info"))

    async def segments(self, request: SpeechRequest) -> list[dict[str, Any]]:
        """How the text will be cut: ``[{index, text, language}]``.

        Raises:
            SpeechError, EngineError: when it cannot be.
        """
        found = await self._call("POST", "/segments", request.to_json())
        return list(found["segments"])

    async def readings(self, request: SpeechRequest) -> list[dict[str, Any]]:
        """How the text will be read: `WordReading`s as objects.

        Raises:
            SpeechError: when the engine has nothing to read, or does not say how it reads.
            EngineError: when it cannot.
        """
        found = await self._call("POST", "/readings", request.to_json())
        return list(found["readings"])

    async def load(self) -> dict[str, Any]:
        """Loads the engine when it is unloaded; returns `/health`'s object."""
        return await self._call("POST", "/load", silence_s=SILENCE_S)

    async def unload(self) -> dict[str, Any]:
        """Gives the engine's memory back; returns `/health`'s object."""
        return await self._call("POST", "/unload", silence_s=SILENCE_S)

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Frame, None]:
        """The frames of one spoken request, ``start`` to ``end``.

        Raises:
            SpeechError: when the request is wrong.
            EngineAwayError: when the engine is not ready, does not answer or dies meanwhile.
            EngineError: when it fails.
        """
        reader = FrameReader()
        try:
            async with self._ask("POST", "/speak", request.to_json(), SILENCE_S) as answer:
                if answer.status != 200:
                    raise _error_of(answer, await answer.read())
                async with contextlib.aclosing(answer.parts()) as parts:
                    async for data in parts:
                        for frame in reader.feed(data):
                            event = frame.event if frame.kind == EVENT else {}
                            if event.get("event") == "error":
                                raise error_from(event)
                            yield frame
                            if event.get("event") == "end":
                                return
        except (ConnectionError, ValueError) as error:
            raise _away(error) from error
        raise _died()

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, silence_s: float
    ) -> AbstractAsyncContextManager[Answer]:
        return ask(self._address, method, path, body, token=self._token, connect_s=CONNECT_S, silence_s=silence_s)

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, silence_s: float = ANSWER_S
    ) -> dict[str, Any]:
        try:
            async with self._ask(method, path, body, silence_s) as answer:
                data = await answer.read()
        except (ConnectionError, ValueError) as error:
            raise _away(error) from error
        if answer.status != 200:
            raise _error_of(answer, data)
        found: dict[str, Any] = json.loads(data)
        return found


def error_from(data: Mapping[str, Any], retry_after_s: int = RETRY_AFTER_S) -> LauncherError:
    """The exception from an error object or ``error`` event of the engine."""
    message, fix = str(data.get("message") or "The engine failed."), str(data.get("fix") or "")
    code = str(data.get("code") or "")
    if code == "engine_loading":
        return EngineAwayError(message, fix=fix, retry_after_s=retry_after_s, loading=True)
    if code == ENDING:
        return EngineAwayError("The engine ends, or starts anew.", retry_after_s=retry_after_s)
    if code in (ENGINE_ERROR, OUT_OF_MEMORY):
        return EngineError(message, fix=fix, code=code)
    status = data.get("http_status")
    return SpeechError(
        message,
        fix=fix,
        param=str(data.get("param") or ""),
        code=code or "invalid_value",
        http_status=status if isinstance(status, int) else 400,
    )


def _error_of(answer: Answer, data: bytes) -> LauncherError:
    retry_after_s = RETRY_AFTER_S
    with contextlib.suppress(ValueError):
        retry_after_s = int(answer.headers.get("retry-after", RETRY_AFTER_S))
    try:
        return error_from(json.loads(data)["error"], retry_after_s)
    except (ValueError, KeyError, TypeError):
        return EngineError(f"The engine answered {answer.status}.", fix="The log has the details: tts-launcher logs.")


def _away(error: Exception) -> EngineAwayError:
    if isinstance(error, UnreachableError):
        return EngineAwayError("The engine is not running.")
    if isinstance(error, SilentError):
        return EngineAwayError("The engine does not answer.")
    return _died()


def _died() -> EngineAwayError:
    return EngineAwayError("The engine ended in the middle of the speech.", died=True)
