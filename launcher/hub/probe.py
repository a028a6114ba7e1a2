"""What each endpoint is worth for one repository: does it hold it, does it tell the truth, how fast is it.

Two rounds, each with an end: every endpoint is asked for the commit and the list of files at the same time; those that
agree (see `launcher.hub.judgement`) then send the beginning of the same file at the same time, as they would in a
fetch. Invariants: an endpoint that fails is a report and never an exception; a report holds no token; nothing that an
endpoint says keeps a round from ending.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from launcher.channel import from_json
from launcher.hub.client import Client, MirrorFault, Timeouts, host_of
from launcher.hub.endpoints import BUILT_IN, Endpoint
from launcher.hub.judgement import Look, agree, compare_samples, judge, reference_of, sampled_file
from launcher.hub.listing import BadListing, hub_files, modelscope_files, next_page
from launcher.hub.remote_files import COMMIT, RemoteFile
from launcher.hub.samples import contradiction, read_sample, shortcomings, wrong_bytes

#: Enough for a connection to reach its speed on a fast line, little enough to measure on a slow one.
SAMPLE_BYTES = 8 * 1024 * 1024
#: A sample ends after this even when it is not complete: the speed is known by then.
SAMPLE_S = 3.0
#: One round. The slowest public hub that was seen answers its API within three seconds.
ROUND_S = 10.0
#: A host that is there accepts within one round trip; three seconds allow a lost packet's second try.
CONNECT_S = 3.0
#: Pages of a listing; the Hub puts 1,000 files on each, and no model has more than a few thousand.
_MAX_PAGES = 20
_MAX_JSON_BYTES = 32 * 1024 * 1024
#: Compared between endpoints: enough that no two files share it, small enough to be in every sample.
_HEAD_BYTES = 64 * 1024
_READ_BYTES = 1 << 18

_TOO_LATE = "does not answer in time"
#: Kinds of `MirrorFault` that mean nobody is there.
_NO_ANSWER = ("unreachable", "silent", "broken")

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ProbeReport:
    """What was found out about one endpoint.

    Attributes:
        url, kind: of the endpoint.
        repo, revision: what was asked for.
        rejected: why it cannot serve this; continues its name, empty when it can.
        notes: what else a person should know, one clause each.
        commit: that it holds; empty when it names none.
        latency_s: from the first request to its answer, the connection included; ``None`` without an answer.
        bytes_per_s: of one connection; ``None`` when nothing was measured.
        sample_bytes: that were measured.
        path: the file that they came from.
        origin: host and port that sent them.
        ranges: whether it sends a part of a file when asked; ``None`` when nothing was measured.
        xet: ``no``, ``answers``, ``silent`` (offered, but its data plane does not answer); empty when unknown.
        measured_at: seconds since 1970.
    """

    url: str
    kind: str
    repo: str
    revision: str
    rejected: str = ""
    notes: tuple[str, ...] = ()
    commit: str = ""
    latency_s: float | None = None
    bytes_per_s: float | None = None
    sample_bytes: int = 0
    path: str = ""
    origin: str = ""
    ranges: bool | None = None
    xet: str = ""
    measured_at: float = field(default_factory=time.time)

    @property
    def is_usable(self) -> bool:
        """Whether it can serve this repository."""
        return not self.rejected

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object; keys are the attribute names."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ProbeReport:
        """The value from `to_json`'s object.

        Raises:
            TypeError: when it is none.
        """
        return cls(**{**data, "notes": tuple(data.get("notes", ()))})


class _Rejected(Exception):  # noqa: N818 - a finding
    """Why an endpoint cannot serve, as a clause."""


def probe(
    endpoints: Sequence[Endpoint],
    repo: str,
    revision: str,
    settings: Mapping[str, str],
    *,
    path: str = "",
    sample_bytes: int = SAMPLE_BYTES,
    round_s: float = ROUND_S,
) -> list[ProbeReport]:
    """Asks every endpoint about a repository, all at once.

    Args:
        endpoints: whom to ask.
        repo: ``org/name``, as at the Hub.
        revision: a branch, tag or commit.
        settings: proxies, as `launcher.config.Config.standard` has them.
        path: the file to measure with; empty takes the largest.
        sample_bytes: how much of it at most.
        round_s: time for each of the two rounds, in seconds.

    Returns:
        One report for each endpoint, in their order, after at most two rounds' time.
    """
    timeouts = Timeouts(connect_s=min(CONNECT_S, round_s), read_s=round_s)
    siblings = tuple(dict.fromkeys([one.url for one in (*endpoints, *BUILT_IN.values())]))
    client = Client(settings, connections=2, timeouts=timeouts, siblings=siblings)
    prober = _Prober(client, repo, revision, sample_bytes, min(SAMPLE_S, round_s / 2))
    try:
        seen = _all_at_once(prober.look, endpoints, round_s)
        looks = judge([seen.get(one.url) or Look(one, rejected=_TOO_LATE) for one in endpoints], revision)
        file = sampled_file(looks, path)
        usable = {look.endpoint.url: look for look in looks if not look.rejected}
        samples: dict[str, tuple[ProbeReport, str]] = {}
        if file is not None:
            binding = reference_of(looks, revision) is not None
            measure = partial(_measure_one, prober, usable, file, binding)
            samples = _all_at_once(measure, [look.endpoint for look in usable.values()], round_s)
    finally:
        client.close()
    late = {} if file is None else {url: (prober.report(look, _TOO_LATE), "") for url, look in usable.items()}
    samples = late | samples
    liars = compare_samples(
        {url: head for url, (report, head) in samples.items() if head and report.is_usable},
        {one.url for one in endpoints if one.trusted},
    )
    reports = [samples[look.endpoint.url][0] if look.endpoint.url in samples else prober.report(look) for look in looks]
    return [replace(one, rejected=one.rejected or liars.get(one.url, "")) for one in reports]


def answers(endpoint: Endpoint, settings: Mapping[str, str], timeout_s: float = ROUND_S) -> str:
    """Why nobody answers at an endpoint's address, as a clause; empty when somebody does, whatever the answer.

    Args:
        endpoint: whom to ask.
        settings: proxies, as `launcher.config.Config.standard` has them.
        timeout_s: the longest wait.
    """
    timeouts = Timeouts(connect_s=min(CONNECT_S, timeout_s), read_s=timeout_s)
    client = Client(settings, connections=1, timeouts=timeouts)

    def ask(asked: Endpoint) -> str:
        try:
            with client.open(f"{asked.url}/api/models", token=asked.token):
                return ""
        except MirrorFault as fault:
            return fault.message if fault.kind in _NO_ANSWER else ""

    try:
        return _all_at_once(ask, [endpoint], timeout_s).get(endpoint.url, _TOO_LATE)
    finally:
        client.close()


def _measure_one(
    prober: _Prober, looks: Mapping[str, Look], file: RemoteFile, binding: bool, endpoint: Endpoint
) -> tuple[ProbeReport, str]:
    look = looks[endpoint.url]
    # Where nobody's word counts, each is held to its own.
    return prober.measure(look, file if binding else look.files.get(file.path, file))


def _all_at_once(
    work: Callable[[Endpoint], Answer], endpoints: Sequence[Endpoint], timeout_s: float
) -> dict[str, Answer]:
    """``work`` for each endpoint in a thread of its own; who is not done in time is left out."""
    done: dict[str, Answer] = {}
    failures: list[Exception] = []

    def run(endpoint: Endpoint) -> None:
        try:
            done[endpoint.url] = work(endpoint)
        except Exception as error:  # noqa: BLE001 - raised again where somebody sees it
            failures.append(error)

    # Daemons: one that waits for a dead host must not keep the process.
    threads = [threading.Thread(target=run, args=(endpoint,), daemon=True) for endpoint in endpoints]
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if failures:
        raise failures[0]
    return dict(done)


@dataclass(frozen=True)
class _Prober:
    """What every visit of one probe shares."""

    client: Client
    repo: str
    revision: str
    sample_bytes: int
    sample_s: float

    def report(self, look: Look, rejected: str = "") -> ProbeReport:
        """The report of an endpoint that has not been measured."""
        endpoint = look.endpoint
        return ProbeReport(
            endpoint.url,
            endpoint.kind,
            self.repo,
            self.revision,
            rejected or look.rejected,
            look.notes,
            look.commit,
            look.latency_s,
        )

    def look(self, endpoint: Endpoint) -> Look:
        """The first round: the commit and the files."""
        try:
            return self._look(endpoint)
        except _Rejected as rejected:
            return Look(endpoint, rejected=str(rejected))
        except MirrorFault as fault:
            return Look(endpoint, rejected=fault.message)
        except BadListing as bad:
            return Look(endpoint, rejected=f"sends a list that cannot be used: {bad}")

    def _look(self, endpoint: Endpoint) -> Look:
        started = time.monotonic()
        first, _ = _json(self.client, endpoint, endpoint.model_url(self.repo, self.revision))
        latency_s = time.monotonic() - started
        if not endpoint.speaks_hub:
            return Look(endpoint, latency_s=latency_s, files=_by_path(modelscope_files(first)))
        commit = first.get("sha") if isinstance(first, dict) else None
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise _Rejected("names no commit")
        files: list[RemoteFile] = []
        url = endpoint.listing_url(self.repo, commit)
        for _ in range(_MAX_PAGES):
            page, link = _json(self.client, endpoint, url)
            files += hub_files(page)
            url = _own(endpoint, next_page(link))
            if not url:
                break
        return Look(endpoint, commit=commit, latency_s=latency_s, files=_by_path(files))

    def measure(self, look: Look, file: RemoteFile) -> tuple[ProbeReport, str]:
        """The second round: the beginning of a file, and its digest when there was enough to compare."""
        own = look.files.get(file.path)
        if own is None:
            return self.report(look, f"does not have {file.path}"), ""
        if not agree(own, file):
            return self.report(look, f"has another version of {file.path}"), ""
        try:
            return self._measure(look, file)
        except MirrorFault as fault:
            return replace(self.report(look, fault.message), path=file.path), ""

    def _measure(self, look: Look, file: RemoteFile) -> tuple[ProbeReport, str]:
        endpoint = look.endpoint
        wanted = min(self.sample_bytes, file.size)
        url = endpoint.file_url(self.repo, look.commit or self.revision, file.path)
        asked = {"Range": f"bytes=0-{wanted - 1}"} if wanted else {}
        with self.client.open(url, token=endpoint.token, headers=asked) as opened:
            data, seconds, complete = read_sample(opened, wanted, self.sample_s)
            problem = contradiction(endpoint, opened, look, file)
            problem = problem or wrong_bytes(file, data, wanted if complete else 0)
            report = replace(
                self.report(look, problem),
                notes=(*look.notes, *shortcomings(endpoint, opened)),
                bytes_per_s=len(data) / seconds if data else None,
                sample_bytes=len(data),
                path=file.path,
                origin=host_of(opened.url),
                ranges=opened.status == 206 if wanted else None,
            )
            offers_xet = "x-xet-hash" in opened.named
        if endpoint.speaks_hub:
            report = replace(report, xet=self._xet(endpoint, look.commit) if offers_xet else "no")
        return report, hashlib.sha256(data[:_HEAD_BYTES]).hexdigest() if len(data) >= _HEAD_BYTES else ""

    def _xet(self, endpoint: Endpoint, commit: str) -> str:
        """Whether the data plane that is offered answers at all."""
        route = f"{endpoint.api_url(self.repo)}/xet-read-token/{commit}"
        try:
            value, _ = _json(self.client, endpoint, route)
            address = value.get("casUrl") if isinstance(value, dict) else None
            if not isinstance(address, str) or urlsplit(address).scheme not in ("http", "https"):
                return "silent"
            with self.client.open(address):
                return "answers"
        except _Rejected:
            return "silent"
        except MirrorFault as fault:  # any answer at all is one, a refusal too
            return "silent" if fault.kind in _NO_ANSWER else "answers"


def _by_path(files: Sequence[RemoteFile]) -> dict[str, RemoteFile]:
    return {file.path: file for file in files}


def _own(endpoint: Endpoint, url: str) -> str:
    """``url`` at the endpoint's own address: a mirror may pass on its source's links."""
    if not url or endpoint.owns(url):
        return url
    parts = urlsplit(url)
    return f"{host_of(endpoint.url)}{parts.path}?{parts.query}"


def _json(client: Client, endpoint: Endpoint, url: str) -> tuple[Any, str]:
    """The JSON value at ``url`` and the ``Link`` header."""
    with client.open(url, token=endpoint.token) as opened:
        if not endpoint.owns(opened.url):
            raise _Rejected(f"sends its visitors to {host_of(opened.url)}")
        data = bytearray()
        while part := opened.read(_READ_BYTES):
            data += part
            if len(data) > _MAX_JSON_BYTES:
                raise _Rejected("answers without end")
        link = opened.headers.get("Link", "")
    try:
        return from_json(data), link
    except ValueError:
        raise _Rejected("answers with something that is no JSON") from None
