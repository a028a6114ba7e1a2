"""``mirror explain``: which host would serve each byte of a file now, and which ones did when it was fetched.

Invariants: what would happen comes from a probe of that very file; what did happen comes from the receipt alone, and
needs no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.app import Context
from launcher.cli.mirror import endpoints_in_use, shown_speed, split_repo, table
from launcher.errors import FetchError

if TYPE_CHECKING:
    from launcher.config import Config
    from launcher.hub.probe import ProbeReport
    from launcher.hub.receipts import Received


@dataclass(frozen=True)
class _Explained:
    """One file, now and then.

    Attributes:
        repo, revision, path: what was asked for.
        reports: of the endpoints, best first; empty when they were not asked.
        parts: address to the part of the file that it would serve, from 0 to 1.
        commit: of the receipt; empty without one.
        received: what the receipt says; ``None`` when it says nothing.
    """

    repo: str
    revision: str
    path: str
    reports: Sequence[ProbeReport]
    parts: Mapping[str, float]
    commit: str
    received: Received | None

    @property
    def is_accounted_for(self) -> bool:
        """Whether the bytes from all hosts are the bytes of the file."""
        return self.received is not None and sum(self.received.hosts.values()) == self.received.size

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        would = [
            {
                "url": one.url,
                "share": self.parts.get(one.url, 0.0),
                "bytes_per_s": one.bytes_per_s,
                "origin": one.origin,
                "commit": one.commit,
                "rejected": one.rejected,
            }
            for one in self.reports
        ]
        did = None
        if self.received is not None:
            did = {
                "commit": self.commit,
                "size_bytes": self.received.size,
                "sha256": self.received.sha256,
                "hosts": dict(self.received.hosts),
                "accounted_for": self.is_accounted_for,
            }
        return {"repo": self.repo, "revision": self.revision, "file": self.path, "would_serve": would, "did_serve": did}


@click.command(name="explain", help="Show which host would serve FILE of REPO now, and which ones did.")
@click.argument("repo", metavar="NAME|REPO[@REVISION]")
@click.argument("file")
@click.option("--revision", metavar="REV", help="Branch, tag or commit; main by default.")
@click.option("--offline", is_flag=True, help="Only what the receipt says; no network.")
@click.pass_obj
def command(context: Context, repo: str, file: str, revision: str | None, offline: bool) -> None:
    """Prints both halves of the explanation."""
    config = context.load_config()
    name, wanted = split_repo(repo, revision, file)
    commit, received = _receipt(config, name, wanted, file)
    reports, parts = ([], {}) if offline or config.is_offline else _probe(config, name, wanted, file)
    explained = _Explained(name, wanted, file, reports, parts, commit, received)
    if received is None and not any(one.path for one in reports):
        from launcher.hub.agreement import clause

        reasons = (
            "; ".join(clause(one.url, one.rejected or "does not list it") for one in reports) or "no receipt names it"
        )
        raise FetchError(
            f"Nothing is known of {file} in {name} at {wanted}: {reasons}.",
            fix="Check the names; tts-launcher mirror test REPO shows what each mirror holds.",
        )
    context.output.result(explained.to_json(), lambda: _as_text(explained))


def _receipt(config: Config, repo: str, revision: str, path: str) -> tuple[str, Received | None]:
    from launcher.cache.layout import hub_cache
    from launcher.hub.placement import RepoFolder
    from launcher.hub.receipts import read_receipt
    from launcher.hub.remote_files import COMMIT

    folder = RepoFolder(hub_cache(config), repo)
    commit = revision if COMMIT.fullmatch(revision) else folder.commit_of(revision)
    receipt = read_receipt(folder, commit) if commit else None
    return (commit, receipt.files.get(path)) if receipt is not None else ("", None)


def _probe(config: Config, repo: str, revision: str, path: str) -> tuple[list[ProbeReport], dict[str, float]]:
    from launcher.hub.probe import probe
    from launcher.hub.ranking import rank, shares

    endpoints = endpoints_in_use(config)
    reports = rank(probe(endpoints, repo, revision, config.standard, path=path), endpoints)
    return reports, shares(reports, endpoints)


def _as_text(explained: _Explained) -> str:
    lines = [f"{explained.path} of {explained.repo} at {explained.revision}"]
    if explained.reports:
        rows = [("URL", "SHARE", "MB/S", "BYTES FROM", "VERDICT")]
        rows += [
            (
                one.url,
                f"{100 * explained.parts.get(one.url, 0.0):.0f} %",
                shown_speed(one.bytes_per_s),
                one.origin.partition("://")[2] or "-",
                one.rejected or "usable",
            )
            for one in explained.reports
        ]
        lines += ["", "Would serve now, by measured speed", table(rows)]
    lines += ["", *_past(explained)]
    return "\n".join(lines)


def _past(explained: _Explained) -> list[str]:
    received = explained.received
    if received is None:
        return ["It has not been fetched here: there is no receipt for it."]
    known = f"{received.size} bytes, sha256 {received.sha256}, commit {explained.commit}"
    if not received.hosts:
        return [f"It was on this disk already when it was asked for: {known}."]
    rows = [("URL", "BYTES", "SHARE")]
    by_bytes = sorted(received.hosts.items(), key=lambda pair: -pair[1])
    rows += [(url, str(count), f"{100 * count / max(received.size, 1):.1f} %") for url, count in by_bytes]
    verdict = "Every byte is accounted for" if explained.is_accounted_for else "The counts do not add up to the file"
    return ["Did serve, by the receipt", table(rows), f"{verdict}: {known}."]
