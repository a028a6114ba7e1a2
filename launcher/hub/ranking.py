"""Which endpoint first: by measured speed, kept in a file until it is old or a transfer says otherwise.

Invariants: the file holds no secret and may be deleted at any time; a damaged or missing one is an empty one; it is
replaced in one step, and of two processes that write, the last one wins: nothing but speed is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.alarms.events import note_mirror
from launcher.cache.layout import cache_dir
from launcher.config import Config
from launcher.hub.endpoints import Endpoint
from launcher.hub.probe import ProbeReport

FILE_NAME = "mirror-ranking.json"
#: Speeds change with the hour and the day's congestion; every transfer measures again, so that a day is enough.
MAX_AGE_S = 24 * 3600.0
#: A mirror that was down or stale may have recovered soon after.
MAX_REJECTION_AGE_S = 15 * 60.0
_FORMAT = 1
#: Reports of the repositories that were measured last.
_MAX_REPORTS = 200


def rank(reports: Sequence[ProbeReport], endpoints: Sequence[Endpoint]) -> list[ProbeReport]:
    """The reports, best first: usable ones by speed times weight, then those without a speed, then rejected ones.

    Equally good ones keep the order of ``endpoints``, which is the user's.
    """
    weights = {one.url: one.weight for one in endpoints}
    places = {one.url: place for place, one in enumerate(endpoints)}

    def key(report: ProbeReport) -> tuple[bool, bool, float, int]:
        speed = (report.bytes_per_s or 0.0) * weights.get(report.url, 1.0)
        return not report.is_usable, not speed, -speed, places.get(report.url, len(places))

    return sorted(reports, key=key)


def shares(reports: Sequence[ProbeReport], endpoints: Sequence[Endpoint]) -> dict[str, float]:
    """Address to the part of a large file, from 0 to 1, that it would serve at the measured speeds."""
    by_url = {one.url: one for one in endpoints}
    paces = {
        one.url: (one.bytes_per_s or 0.0) * by_url[one.url].connections * by_url[one.url].weight
        for one in reports
        if one.is_usable and one.url in by_url
    }
    total = sum(paces.values())
    return {url: pace / total for url, pace in paces.items()} if total else {}


class Ranking:
    """The measurements so far.

    Args:
        path: the file; need not exist.
        reports: the newest of each endpoint and repository, oldest first.
    """

    def __init__(self, path: Path, reports: Sequence[ProbeReport] = ()) -> None:
        self._path = path
        self._reports = {(one.url, one.repo, one.revision): one for one in reports}

    @classmethod
    def load(cls, config: Config) -> Ranking:
        """What the file of this installation holds."""
        path = cache_dir(config) / FILE_NAME
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != _FORMAT:
                return cls(path)
            return cls(path, [ProbeReport.from_json(one) for one in data["reports"]])
        except (OSError, ValueError, TypeError, KeyError):
            return cls(path)

    def fresh(self, repo: str, revision: str, now: float | None = None) -> list[ProbeReport]:
        """The reports on a repository that are not too old; ``now`` is in seconds since 1970."""
        return [
            one
            for one in self._reports.values()
            if (one.repo, one.revision) == (repo, revision) and _is_fresh(one, time.time() if now is None else now)
        ]

    def speeds(self, now: float | None = None) -> Mapping[str, float]:
        """Address to bytes per second of one connection, from the newest report that is not too old."""
        moment = time.time() if now is None else now
        usable = [one for one in self._reports.values() if one.bytes_per_s and _is_fresh(one, moment)]
        return {one.url: one.bytes_per_s or 0.0 for one in sorted(usable, key=lambda one: one.measured_at)}

    def order(self, endpoints: Sequence[Endpoint], repo: str, revision: str) -> tuple[Endpoint, ...]:
        """The endpoints, the best for this repository first; one that was never measured comes after those that were.

        Those that were rejected lately come last and are not left out: what was true then need not be now.
        """
        rejected = {one.url for one in self.fresh(repo, revision) if not one.is_usable}
        speeds = self.speeds()
        return tuple(sorted(endpoints, key=lambda one: (one.url in rejected, -speeds.get(one.url, 0.0) * one.weight)))

    def note_waits(self, rejected: Mapping[str, str]) -> None:
        """Puts on record which mirrors kept a transfer waiting, also one that failed.

        Args:
            rejected: address to why it does not serve, as a clause.
        """
        for url, reason in rejected.items():
            note_mirror(self._path.parent, url, reason)

    def learn(
        self,
        endpoints: Sequence[Endpoint],
        repo: str,
        revision: str,
        rates: Mapping[str, float],
        rejected: Mapping[str, str],
    ) -> None:
        """Takes what a transfer found out: it measures better than any probe, also when it disappoints.

        Args:
            endpoints: that were asked.
            repo, revision: that were fetched.
            rates: address to bytes per second of one connection.
            rejected: address to why it was left out or dropped, as a clause.
        """
        self.note_waits(rejected)
        reports = [
            ProbeReport(one.url, one.kind, repo, revision, rejected.get(one.url, ""), bytes_per_s=rates.get(one.url))
            for one in endpoints
            if rates.get(one.url) or one.url in rejected
        ]
        if reports:
            self.keep(reports)

    def keep(self, reports: Sequence[ProbeReport]) -> None:
        """Adds reports, in place of older ones about the same, and writes the file; a full disk is no failure."""
        for report in reports:
            self._reports.pop((report.url, report.repo, report.revision), None)
            self._reports[(report.url, report.repo, report.revision)] = report
        self._save()

    def _save(self) -> None:
        kept = list(self._reports.values())[-_MAX_REPORTS:]
        data: dict[str, Any] = {"format": _FORMAT, "reports": [one.to_json() for one in kept]}
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        # Without the file the next fetch measures again: not worth a failure.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(data), encoding="utf-8")
            temporary.replace(self._path)


def _is_fresh(report: ProbeReport, now: float) -> bool:
    limit = MAX_AGE_S if report.is_usable else MAX_REJECTION_AGE_S
    return 0 <= now - report.measured_at < limit
