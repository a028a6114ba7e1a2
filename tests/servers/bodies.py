"""A file's bytes as an answer: whole or a range, and every fault that happens while bytes flow.

Invariant: a fault changes what it says and nothing else; the rest of the answer is what a healthy hub sends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.servers.faults import Faults
from tests.servers.repos import RepoFile, content_size, read_chunks
from tests.servers.wire import Connection, Gone, Request

_FLIP_ALL = bytes(255 - value for value in range(256))


def send_file(
    connection: Connection, request: Request, file: RepoFile, headers: Mapping[str, str], faults: Faults
) -> None:
    """Answers with the file, or the part of it that was asked for.

    Raises:
        Gone: when the connection is over afterwards.
    """
    size = content_size(file.content)
    status, start, end = 200, 0, size
    all_headers = {"Content-Type": "application/octet-stream", **headers}
    if not faults.no_range:
        all_headers["Accept-Ranges"] = "bytes"
        try:
            asked = request.range(size)
        except ValueError:
            connection.send_head(request, 416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        if asked is not None:
            status, (start, end) = 206, asked
            all_headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    end = max(start, end - faults.short_by_bytes)
    unsized = "size" in faults.missing_headers and request.method == "GET"
    if unsized:
        all_headers["Connection"] = "close"
    else:
        all_headers["Content-Length"] = str(end - start)
    connection.send_head(request, status, all_headers)
    if request.method == "HEAD":
        return
    whole = (start, end) == (0, size)
    if faults.wrong_range and not whole:
        length = end - start
        start = start - length if start >= length else min(start + length, size - length)
        end = start + length
    connection.send_body(
        request, _broken_off(connection, _bytes(file, start, end, faults), faults), faults.drip_bytes_per_s
    )
    if unsized:
        raise Gone


def _bytes(file: RepoFile, start: int, end: int, faults: Faults) -> Iterator[bytes]:
    """The bytes from ``start`` to ``end``, some or all of them wrong."""
    place = start
    for chunk in read_chunks(file.content, start, end - start):
        flip = None if faults.flip_byte_at is None else faults.flip_byte_at - place
        place += len(chunk)
        if faults.wrong_bytes:
            yield chunk.translate(_FLIP_ALL)
        elif flip is not None and 0 <= flip < len(chunk):
            yield chunk[:flip] + bytes([chunk[flip] ^ 1]) + chunk[flip + 1 :]
        else:
            yield chunk


def _broken_off(connection: Connection, chunks: Iterator[bytes], faults: Faults) -> Iterator[bytes]:
    """The same bytes up to where the connection stalls, is reset or is closed."""
    stall = faults.stall_after_bytes if "body" in faults.stall else None
    limits = [limit for limit in (stall, faults.reset_after_bytes, faults.cut_after_bytes) if limit is not None]
    if not limits:
        yield from chunks
        return
    left = min(limits)
    for chunk in chunks:
        if len(chunk) < left:
            left -= len(chunk)
            yield chunk
            continue
        yield chunk[:left]
        if stall == min(limits):
            connection.stall()
        if faults.reset_after_bytes == min(limits):
            connection.reset()
        raise Gone
