"""The library's calls out of the event loop, which a disk must not stop."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from starlette.datastructures import UploadFile
from starlette.requests import Request

from launcher.errors import FULL_ERRNOS, DiskFullError, SpeechError, StorageError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

#: Recordings that are decoded, files that are read and sounds that are converted at the same time; Python gives us five
#: threads or more, and what speech needs of them takes milliseconds.
SLOW_PLACES = 3
_CHUNK_BYTES = 1024 * 1024


async def in_thread(call: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
    """What ``call`` returns.

    Raises:
        StorageError: when the system refused something.
        Whatever ``call`` raises.
    """
    try:
        return await asyncio.to_thread(call, *args, **kwargs)
    except OSError as error:
        raise _storage_error(error) from error


async def in_slow_thread(
    request: Request, call: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """As `in_thread`, for what takes seconds: a few at a time, so that a thread is left for everything else.

    Args:
        request: whose application counts them.
        call: what is done, with ``args`` and ``kwargs``.
    """
    places: asyncio.Semaphore = request.app.state.slow_places
    async with places:
        return await in_thread(call, *args, **kwargs)


@contextlib.asynccontextmanager
async def received(request: Request, parts: Path) -> AsyncIterator[Path]:
    """The request's body as a file, written as it comes and gone afterwards.

    Raises:
        SpeechError: when the body is empty.
        StorageError: when it cannot be written.
    """
    async with _written(request.stream(), parts) as path:
        yield path


@contextlib.asynccontextmanager
async def kept(upload: UploadFile, parts: Path) -> AsyncIterator[Path]:
    """A form's file as a file of the library, gone afterwards; raises as `received`."""

    async def chunks() -> AsyncIterator[bytes]:
        while chunk := await upload.read(_CHUNK_BYTES):
            yield chunk

    async with _written(chunks(), parts) as path:
        yield path


@contextlib.asynccontextmanager
async def _written(chunks: AsyncIterator[bytes], parts: Path) -> AsyncIterator[Path]:
    path = parts / f"{uuid.uuid4().hex}.upload"
    try:
        size_bytes = 0
        file = await in_thread(path.open, "wb")
        try:
            async for chunk in chunks:
                size_bytes += len(chunk)
                await in_thread(file.write, chunk)
        finally:
            await in_thread(file.close)
        if not size_bytes:
            raise SpeechError("The body is empty.", fix="Send the file as the request's body.", code="empty_body")
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


async def in_parts(request: Request, parts: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """What a plain iterator gives, each part made as `in_slow_thread` does: the first of a long sound takes minutes."""
    while (part := await in_slow_thread(request, next, parts, None)) is not None:
        if part:
            yield part


def _storage_error(error: OSError) -> StorageError:
    if error.errno in FULL_ERRNOS:
        return DiskFullError("The library's disk is full; nothing was kept.", fix="Free space there, then try again.")
    return StorageError(
        f"The library's disk refuses: {error.strerror or error}.", fix="Check that it has room and may be written to."
    )
