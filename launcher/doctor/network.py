"""The checks that ask others: which mirrors answer, and whether this clock agrees with theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from launcher.doctor.finding import FAILED, OK, WARNING, Finding, Ground, listed
from launcher.errors import ConfigError
from launcher.hub.endpoints import Endpoint, parse_endpoints
from launcher.hub.proxies import make_pool

#: A host that is there accepts and answers within two round trips; slow public ones were seen to need three seconds.
ASK_S = 5.0
#: Signed addresses of large files are valid for an hour, certificates for months; people notice minutes.
MAX_SKEW_S, BAD_SKEW_S = 60.0, 900.0


@dataclass(frozen=True)
class _Answer:
    """What one mirror said: how long it took, and how far this clock is ahead of its; ``None`` without a date."""

    seconds: float
    ahead_s: float | None


def check_mirrors(ground: Ground) -> tuple[Finding, Finding]:
    """At least one mirror answers; by the way what they say of the time.

    Returns:
        The findings about mirrors and about the clock.
    """
    if not ground.network:
        asked = Finding("Mirrors", OK, "not asked (offline)")
        return asked, Finding("Time", OK, "not compared with any mirror (offline)")
    endpoints = parse_endpoints(ground.config)
    answers = _ask_all(endpoints, ground)
    return _mirrors(endpoints, answers), _time(answers)


def _mirrors(endpoints: Sequence[Endpoint], answers: dict[str, _Answer]) -> Finding:
    if not endpoints:
        fix = "Run: tts-launcher mirror add URL, or remove LAUNCHER_MIRRORS."
        return Finding("Mirrors", FAILED, "none is listed", fix)
    silent = [one.host for one in endpoints if one.url not in answers]
    quick = sorted((answers[one.url].seconds, one.host) for one in endpoints if one.url in answers)
    shown = listed([f"{host} {seconds * 1000:.0f} ms" for seconds, host in quick])
    if not quick:
        fix = "Check the network and HTTPS_PROXY, add a mirror that you reach (mirror add URL), or start offline."
        return Finding("Mirrors", FAILED, f"nobody answers: {listed(silent)}", fix)
    if silent and len(quick) == 1:
        fix = "Add another mirror (mirror add URL), so that one failure is none."
        return Finding("Mirrors", WARNING, f"only {shown}; no answer from {listed(silent)}", fix)
    return Finding("Mirrors", OK, shown + (f"; no answer from {listed(silent)}" if silent else ""))


def _time(answers: dict[str, _Answer]) -> Finding:
    ahead = sorted(one.ahead_s for one in answers.values() if one.ahead_s is not None)
    if not ahead:
        return Finding("Time", OK, "no mirror says what time it is")
    skew = ahead[len(ahead) // 2]
    if abs(skew) <= MAX_SKEW_S:
        return Finding("Time", OK, "agrees with the mirrors' within a minute")
    detail = f"this clock is {abs(skew) / 60:,.0f} min {'ahead of' if skew > 0 else 'behind'} the mirrors'"
    fix = "Set the clock, or let a time server keep it (timedatectl set-ntp true)."
    return Finding("Time", FAILED if abs(skew) > BAD_SKEW_S else WARNING, detail, fix)


def _ask_all(endpoints: Sequence[Endpoint], ground: Ground) -> dict[str, _Answer]:
    done: dict[str, _Answer] = {}

    def run(endpoint: Endpoint) -> None:
        answer = _ask(endpoint, ground)
        if answer is not None:
            done[endpoint.url] = answer

    # Daemons: one that waits for a name server must not keep the process.
    threads = [threading.Thread(target=run, args=(one,), daemon=True) for one in endpoints]
    deadline = time.monotonic() + ASK_S + 1.0
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(done)


def _ask(endpoint: Endpoint, ground: Ground) -> _Answer | None:
    """Any answer counts, whatever its status: somebody is there. No token is sent."""
    from urllib3 import Retry, Timeout
    from urllib3.exceptions import HTTPError

    began = time.monotonic()
    try:
        pool = make_pool(endpoint.url, ground.config.standard, maxsize=1, retries=Retry(0))
    except ConfigError:  # a proxy of a kind that fetches cannot use either
        return None
    try:
        answer = pool.request("HEAD", endpoint.url, redirect=False, timeout=Timeout(connect=ASK_S, read=ASK_S))
    except (HTTPError, OSError):
        return None
    finally:
        pool.clear()
    seconds = time.monotonic() - began
    try:
        ahead = time.time() - parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return _Answer(seconds, None)
    return _Answer(seconds, ahead)
