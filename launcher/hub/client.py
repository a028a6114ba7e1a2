"""HTTP to hubs: one pool of connections, redirects by our own rules, and every failure as one kind of fault.

Invariants: a token goes to the address that it belongs to and never along a redirect to another host; every wait has
an end; the environment is not read, proxies are an argument; a fault says what happened without naming a secret.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from launcher import __version__
from launcher.channel import from_json
from launcher.errors import ConfigError
from launcher.hub.proxies import make_pool, proxy_for

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

USER_AGENT = f"tts-launcher/{__version__}"
_REDIRECTS = (301, 302, 303, 307, 308)
#: The Hub redirects once (large file: to its origin; small: within its host); a mirror may add its own.
_MAX_REDIRECTS = 5
_MAX_JSON_BYTES = 64 << 20

#: The kinds of `MirrorFault`. Transient: worth another try at the same address.
TRANSIENT = frozenset({"unreachable", "silent", "broken", "busy", "error"})


class MirrorFault(Exception):  # noqa: N818 - what a mirror did
    """One request that did not work.

    Args:
        kind: ``unreachable`` (no connection), ``silent`` (no answer in time), ``broken`` (cut or reset), ``busy`` (429,
            503), ``error`` (other 5xx), ``refused`` (401, 403), ``missing`` (404, 410), ``elsewhere`` (moved to another
            mirror), ``nonsense`` (an answer that makes no sense).
        message: a clause for people, such as ``answered 503``.
        retry_after_s: what the mirror asked for; ``None`` when it did not.
    """

    def __init__(self, kind: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def is_transient(self) -> bool:
        """Whether the same request may work later."""
        return self.kind in TRANSIENT


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds: for a connection, and for each part of an answer."""

    connect_s: float = 5.0
    read_s: float = 10.0


class Client:
    """Connections to hubs, shared by all threads.

    Args:
        settings: names such as ``https_proxy``, as `launcher.config.Config.standard` has them.
        connections: most idle connections kept per host.
        timeouts: for every request.
        siblings: addresses of all mirrors in use: one that leads to another brings nothing of its own.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        connections: int = 16,
        timeouts: Timeouts = Timeouts(),
        siblings: tuple[str, ...] = (),
    ) -> None:
        self._settings = settings
        self._connections = connections
        self._timeouts = timeouts
        self._siblings = {_origin(url) for url in siblings}
        self._pools: dict[str, PoolManager] = {}
        self._lock = threading.Lock()
        self._answers: set[BaseHTTPResponse] = set()

    def close(self) -> None:
        """Closes every connection; a thread that waits for a body gets a fault."""
        with self._lock:
            answers = list(self._answers)
        for answer in answers:
            # One that has come to its end meanwhile has no connection any more.
            with suppress(OSError, ValueError, RuntimeError):
                answer.shutdown()
        for pool in self._pools.values():
            pool.clear()

    def _pool(self, url: str) -> PoolManager:
        from urllib3 import Retry

        proxy = proxy_for(url, self._settings)
        with self._lock:
            if proxy not in self._pools:
                # Retrying is for whoever knows what a failure means; 64 hosts is more than all mirrors and origins.
                self._pools[proxy] = make_pool(
                    url, self._settings, maxsize=self._connections, retries=Retry(0, redirect=False), num_pools=64
                )
            return self._pools[proxy]

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        from urllib3 import Timeout

        timeout = Timeout(connect=self._timeouts.connect_s, read=self._timeouts.read_s)
        try:
            pool = self._pool(url)
        except ConfigError:
            kind = urlsplit(proxy_for(url, self._settings)).scheme
            raise MirrorFault(
                "refused", f"is behind a {kind} proxy, which is not supported: set HTTPS_PROXY to its http:// address"
            ) from None
        with faults_of_urllib3(url):
            answer: BaseHTTPResponse = pool.request(
                method,
                url,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
                timeout=timeout,
                preload_content=False,
                decode_content=False,
                redirect=False,
            )
            return answer

    @contextmanager
    def open(self, url: str, *, token: str = "", headers: Mapping[str, str] | None = None) -> Iterator[Opened]:
        """GETs ``url`` through redirects; the body is read inside the ``with`` block.

        Args:
            url: where to begin.
            token: for the host of ``url`` alone.
            headers: further ones, for every hop.

        Raises:
            MirrorFault: whatever went wrong, also while the body is read.
        """
        named: dict[str, str] = {}
        place, hops = url, 0
        while True:
            auth = {"Authorization": f"Bearer {token}"} if token and _origin(place) == _origin(url) else {}
            answer = self._send("GET", place, {**(headers or {}), **auth})
            named.update({name.lower(): text for name, text in answer.headers.items() if name.lower().startswith("x-")})
            target = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not target:
                break
            following = urljoin(place, target)
            status = answer.status
            answer.drain_conn()
            answer.release_conn()
            self._check_redirect(place, following, status)
            place, hops = following, hops + 1
            if hops > _MAX_REDIRECTS:
                raise MirrorFault("nonsense", f"redirects more than {_MAX_REDIRECTS} times")
        whole = False
        try:
            raise_for_status(answer, place)
            opened = Opened(answer, place, named)
            with self._lock:
                self._answers.add(answer)
            with faults_of_urllib3(place):
                yield opened
            whole = opened.is_read
        finally:
            with self._lock:
                self._answers.discard(answer)
            # What was not read to its end cannot be used again.
            if whole:
                answer.release_conn()
            else:
                answer.close()
                answer.release_conn()

    def _check_redirect(self, place: str, following: str, status: int) -> None:
        if urlsplit(following).scheme not in ("http", "https"):
            raise MirrorFault("nonsense", "redirects to something that is not HTTP")
        if urlsplit(place).scheme == "https" and urlsplit(following).scheme == "http":
            raise MirrorFault("nonsense", "redirects from https to http")
        if status in (301, 308) and _origin(following) != _origin(place) and _origin(following) in self._siblings:
            raise MirrorFault("elsewhere", f"serves nothing itself, it sends visitors to {_origin(following)}")

    def get_json(self, url: str, *, token: str = "") -> tuple[Any, Mapping[str, str]]:
        """The JSON value at ``url`` and the headers of its answer, names in lower case.

        Raises:
            MirrorFault: whatever went wrong.
        """
        with self.open(url, token=token) as opened:
            data = b""
            while part := opened.read(1 << 16):
                data += part
                if len(data) > _MAX_JSON_BYTES:
                    raise MirrorFault("nonsense", "answered with more text than any listing has")
            headers = {name.lower(): text for name, text in opened.headers.items()}
        try:
            return from_json(data), headers
        except ValueError:
            raise MirrorFault("nonsense", "answered with something that is not JSON") from None


class Opened:
    """An answer whose body is being read.

    Attributes:
        url: where it came from in the end.
        named: ``x-`` headers of all hops, names in lower case.
    """

    def __init__(self, answer: BaseHTTPResponse, url: str, named: Mapping[str, str]) -> None:
        self._answer = answer
        self.url = url
        self.named = named
        self.is_read = False
        self._raw = _plain_body(answer)
        self._fault: MirrorFault | None = None

    @property
    def status(self) -> int:
        """The HTTP status, 200 or 206."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the last hop."""
        return self._answer.headers

    def read(self, most_bytes: int) -> bytes:
        """Up to ``most_bytes``; empty at the end.

        Raises:
            MirrorFault: when the connection broke or went silent.
        """
        if self.is_read:
            return b""
        with faults_of_urllib3(self.url):
            data = self._answer.read1(most_bytes)
        if not data:
            self.is_read = True
        return data

    def read_into(self, view: memoryview, least_bytes: int, longest_s: float) -> int:
        """Fills the beginning of ``view``; returns how many bytes, 0 at the end.

        Many small parts become one, so that what is done with them is done seldom. A fault after some bytes is raised
        by the next call.

        Args:
            view: at most so much is read.
            least_bytes: with so much it returns.
            longest_s: after so many seconds it returns with what there is; a single wait may be longer.

        Raises:
            MirrorFault: when the connection broke or went silent.
        """
        if self._fault is not None:
            raise self._fault
        count, until = 0, time.monotonic() + longest_s
        try:
            while count < least_bytes and (part := self._read_part(view[count:])):
                count += part
                if time.monotonic() >= until:
                    break
        except MirrorFault as fault:
            if not count:
                raise
            self._fault = fault
        return count

    def _read_part(self, view: memoryview) -> int:
        raw = self._raw
        if raw is None or self.is_read:
            data = self.read(len(view))
            view[: len(data)] = data
            return len(data)
        try:
            part: int = raw.fp.readinto1(view[: raw.length])
        except TimeoutError:
            raise MirrorFault("silent", f"sent nothing for a while ({_origin(self.url)})") from None
        except (OSError, ValueError):
            raise MirrorFault("broken", f"broke the connection ({_origin(self.url)})") from None
        raw.length -= part
        if not raw.length:
            raw.close()
            self.is_read = True  # its connection can be used again
        return part


def _plain_body(answer: BaseHTTPResponse) -> Any:
    """The standard library's answer below urllib3's, when its body is as long as it says and nothing else.

    Reading it straight into a buffer costs half of what urllib3's way costs; where a version of urllib3 has it
    elsewhere, or the body is in chunks, it is read urllib3's way.
    """
    raw = getattr(answer, "_fp", None)
    if not isinstance(raw, http.client.HTTPResponse) or raw.chunked or raw.length is None:
        return None
    return raw if hasattr(raw.fp, "readinto1") else None


def raise_for_status(answer: BaseHTTPResponse, url: str) -> None:
    """Raises the `MirrorFault` of an answer that is neither 200 nor 206; ``url`` is where it came from."""
    status = answer.status
    if status in (200, 206):
        return
    after = _retry_after_s(answer.headers.get("Retry-After"))
    message = f"answered {status}"
    if status in (429, 503):
        raise MirrorFault("busy", message, retry_after_s=after)
    if status >= 500 or status == 408:
        raise MirrorFault("error", message, retry_after_s=after)
    if status in (401, 403):
        raise MirrorFault("refused", f"{message} (a token or a permission is missing)")
    if status in (404, 410):
        raise MirrorFault("missing", f"{message}: it does not have it")
    raise MirrorFault("nonsense", message)


def _retry_after_s(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        return None  # a date: rare, and clocks differ


@contextmanager
def faults_of_urllib3(url: str) -> Iterator[None]:
    """Turns urllib3's and the system's failures at ``url`` into `MirrorFault`."""
    from urllib3 import exceptions

    try:
        yield
    except MirrorFault:
        raise
    except exceptions.ReadTimeoutError:
        raise MirrorFault("silent", f"sent nothing for a while ({_origin(url)})") from None
    except exceptions.MaxRetryError as error:
        raise _of_reason(error.reason, url) from None
    except (exceptions.HTTPError, OSError) as error:
        raise _of_reason(error, url) from None


def _of_reason(reason: BaseException | None, url: str) -> MirrorFault:
    from urllib3 import exceptions

    where = _origin(url)
    if isinstance(reason, exceptions.ReadTimeoutError):
        return MirrorFault("silent", f"sent nothing for a while ({where})")
    if isinstance(reason, exceptions.SSLError):
        return MirrorFault("unreachable", f"has no valid certificate ({where})")
    if isinstance(reason, (exceptions.ConnectTimeoutError, exceptions.NewConnectionError)):
        return MirrorFault("unreachable", f"cannot be reached ({where})")
    if isinstance(reason, exceptions.ProxyError):
        return MirrorFault("unreachable", "cannot be reached through the proxy")
    return MirrorFault("broken", f"broke the connection ({where})")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def host_of(url: str) -> str:
    """Scheme, host and port of an address, as receipts and messages name it."""
    return _origin(url)
