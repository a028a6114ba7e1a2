"""What is asked of a mirror for one lease, and whether its answer is an answer to that.

Invariants: an answer is taken at its place only when its headers say so; what they leave unsaid is judged by the
digest later; a token is sent to the mirror's own address alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from launcher.hub.client import MirrorFault, Opened
from launcher.hub.jobs import Job
from launcher.hub.mirrors import Mirror
from launcher.hub.planner import Lease
from launcher.hub.remote_files import RemoteFile

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class Source:
    """What is fetched: a repository at a commit."""

    repo: str
    commit: str


@dataclass(frozen=True, repr=False)
class Request:
    """One request for bytes. Its ``repr`` shows no token.

    Attributes:
        url: where to begin.
        token: for that address; empty for none.
        headers: the range, unless the mirror serves only whole files.
        start, end: the part that is wanted; ``end`` of the answer.
        is_located: ``url`` is a place that an earlier redirect named.
    """

    url: str
    token: str
    headers: Mapping[str, str]
    start: int
    end: int
    is_located: bool

    @classmethod
    def of(cls, mirror: Mirror, source: Source, job: Job, lease: Lease) -> Request:
        """The request that fetches ``lease`` from ``mirror``."""
        end = job.file.size if mirror.is_rangeless else lease.end  # once: somebody may shorten the lease
        return cls.part(mirror, source, job, lease.accepted, end, ranged=not mirror.is_rangeless)

    @classmethod
    def part(cls, mirror: Mirror, source: Source, job: Job, start: int, end: int, *, ranged: bool = True) -> Request:
        """The request for any part of a job's file."""
        location = job.locations.get(mirror, "")
        url = location or mirror.endpoint.file_url(source.repo, source.commit, job.file.path)
        token = mirror.endpoint.token if mirror.endpoint.owns(url) else ""
        headers = {"Range": f"bytes={start}-{end - 1}"} if ranged else {}
        return cls(url, token, headers, start, end, bool(location))


def check_answer(opened: Opened, request: Request, file: RemoteFile, commit: str) -> int:
    """How many bytes at the beginning of the answer to skip.

    Raises:
        MirrorFault: ``nonsense`` when the answer is about something else, ``rangeless`` when it is the whole file and
            a part was asked for.
    """
    _check_names(opened.named, file, commit)
    if opened.status == 200:
        whole = (request.start, request.end) == (0, file.size)
        if "Range" in request.headers and not whole:
            raise MirrorFault("rangeless", "serves only whole files")
        return request.start
    found = _CONTENT_RANGE.fullmatch(opened.headers.get("Content-Range", ""))
    if found is None:
        raise MirrorFault("nonsense", "answers with a part and does not say which")
    start, last, size = found.groups()
    if size not in ("*", str(file.size)):
        raise MirrorFault("nonsense", f"has another {file.path}: {size} bytes instead of {file.size}")
    if (int(start), int(last)) != (request.start, request.end - 1):
        raise MirrorFault("nonsense", f"answers with bytes {start}-{last} of {file.path} when asked for others")
    return 0


def _check_names(named: Mapping[str, str], file: RemoteFile, commit: str) -> None:
    told = named.get("x-repo-commit")
    if told is not None and told != commit:
        raise MirrorFault("nonsense", f"serves commit {told[:12]} instead of {commit[:12]}")
    etag = named.get("x-linked-etag", "").removeprefix("W/").strip('"')
    if etag and etag not in (file.sha256, file.git_sha1):
        raise MirrorFault("nonsense", f"names another digest for {file.path} ({etag[:12]} instead of {file.etag[:12]})")
    size = named.get("x-linked-size", "")
    if size and size != str(file.size):
        raise MirrorFault("nonsense", f"names another size for {file.path} ({size} instead of {file.size})")


def location_of(mirror: Mirror, opened: Opened) -> str:
    """The place that later requests may go to directly; empty when the answer came from the mirror's own address."""
    return "" if mirror.endpoint.owns(opened.url) else opened.url
