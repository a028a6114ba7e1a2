"""Whom to believe about a repository: pure rules over what the mirrors say.

A commit and its files count when somebody trusted names them, when two that are not trusted agree, when every file that
is wanted has a digest that was known beforehand, or when the user has one mirror and no other. Those that say otherwise
are rejected by name; where nobody outweighs the other it is an error that says who said what.

Invariants: nothing is asked for; the result does not depend on the order of the words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from launcher.errors import FetchError
from launcher.hub.asking import Word
from launcher.hub.remote_files import COMMIT, RemoteFile, RepoTree

Claim = TypeVar("Claim")

_TRUST_FIX = (
    "Name the commit that you want with --revision, or mark the mirror that you trust with trusted = true in the "
    "mirrors file."
)
_UNLIKE = "has none of these files with the same size and sha256"


def agree(
    repo: str,
    revision: str,
    words: Sequence[Word],
    silent: Mapping[str, str],
    *,
    pinned: Mapping[str, str] | None = None,
    needed: Callable[[tuple[RemoteFile, ...]], Sequence[RemoteFile]] = lambda files: files,
    is_only: bool = False,
) -> RepoTree:
    """The tree that the words amount to.

    Args:
        repo: ``org/name``.
        revision: what was asked for.
        words: what the mirrors said.
        silent: those that said nothing, with the reason.
        pinned: path to sha256 of files that are known beforehand.
        needed: those of the files that are wanted.
        is_only: the user has one mirror and no other.

    Raises:
        FetchError: when nobody is to be believed.
    """
    against = {word.endpoint.url: told for word in words if word.commit and (told := _against(word, pinned or {}))}
    hubs = [word for word in words if word.commit and word.endpoint.url not in against]
    stores = [word for word in words if not word.commit]
    if not hubs:
        raise _nobody_fits(repo, against) if against else nobody_answers(repo, silent)
    named = bool(COMMIT.fullmatch(revision))
    commit = revision if named else _winner(repo, revision, {word: word.commit for word in hubs}, lambda text: text)
    current = [word for word in hubs if word.commit == commit]
    files = _winner(repo, f"the files of {commit[:12]}", {word: word.files for word in current}, _files_text(current))
    right = [word for word in current if word.files == files]
    matching = [word for word in stores if _confirms(word, files)]
    confirmed_by_pins = bool(pinned) and all(file.path in (pinned or {}) for file in needed(files))
    enough = len(right) + len(matching) > 1 or is_only or confirmed_by_pins
    if not enough and not any(word.endpoint.trusted for word in right):
        raise FetchError(
            f"Only {right[0].endpoint.url} answers for {repo}, and one mirror's word is not enough{_silence(silent)}.",
            fix=_TRUST_FIX,
        )
    unlike = {word.endpoint.url: _UNLIKE for word in stores if word not in matching}
    rejected = {**silent, **against, **_contradicting(revision, commit, files, hubs), **unlike}
    holders = tuple(word.endpoint.url for word in [*right, *matching])
    vouchers = (*holders, *(["pinned digests"] if confirmed_by_pins else []))
    return RepoTree(repo, revision, commit, files, vouchers, rejected, holders)


def _contradicting(revision: str, commit: str, files: tuple[RemoteFile, ...], hubs: Sequence[Word]) -> dict[str, str]:
    """Those that say otherwise, each with what it says."""
    found = {}
    for word in hubs:
        if word.commit != commit:
            found[word.endpoint.url] = f"is stale: it says {revision} is {word.commit[:12]}, not {commit[:12]}"
        elif word.files != files:
            found[word.endpoint.url] = f"lists other files at {commit[:12]}: {_first_difference(word.files, files)}"
    return found


def lacking(word: Word, files: Iterable[RemoteFile]) -> frozenset[str]:
    """Paths that a mirror without commits lacks or has otherwise."""
    there = {file.path: file for file in word.files}
    return frozenset(file.path for file in files if not _is_same(there.get(file.path), file))


def clause(url: str, reason: str) -> str:
    """Why a mirror does not serve; the host where the way ended is named only where it is another one."""
    return f"{url} {reason.replace(f' ({url})', '')}"


def nobody_answers(repo: str, silent: Mapping[str, str]) -> FetchError:
    """The error for a repository that no mirror knows."""
    return FetchError(
        f"No mirror answers for {repo}{_silence(silent)}.",
        fix="Check the name and the connection, add a mirror, or work with what is there: --offline.",
        rejected=silent,
    )


def _nobody_fits(repo: str, against: Mapping[str, str]) -> FetchError:
    """The error for a repository that every mirror has otherwise than its digests say."""
    said = "; ".join(f"{url} {told}" for url, told in sorted(against.items()))
    fix = "Update the launcher if the model has moved on, or use another mirror."
    return FetchError(f"No mirror holds {repo} as the catalog knows it: {said}.", fix=fix)


def _winner(repo: str, what: str, claims: Mapping[Word, Claim], shown: Callable[[Claim], str]) -> Claim:
    """The claim that outweighs the others."""
    by_claim: dict[Claim, list[Word]] = {}
    for word, claim in claims.items():
        by_claim.setdefault(claim, []).append(word)
    if len(by_claim) == 1:
        return next(iter(by_claim))
    trusted = [claim for claim, words in by_claim.items() if any(word.endpoint.trusted for word in words)]
    if len(trusted) == 1:
        return trusted[0]
    ranked = sorted(by_claim.items(), key=lambda item: -len(item[1]))
    if not trusted and len(ranked[0][1]) > len(ranked[1][1]):
        return ranked[0][0]
    said = "; ".join(
        f"{' and '.join(sorted(word.endpoint.url for word in words))}: {shown(claim)}"
        for claim, words in sorted(by_claim.items(), key=lambda item: min(word.endpoint.url for word in item[1]))
    )
    raise FetchError(f"The mirrors contradict each other about {what} of {repo}: {said}.", fix=_TRUST_FIX)


def _files_text(words: Sequence[Word]) -> Callable[[tuple[RemoteFile, ...]], str]:
    def shown(files: tuple[RemoteFile, ...]) -> str:
        other = next(word.files for word in words if word.files != files)
        return _first_difference(files, other)

    return shown


def _first_difference(files: Sequence[RemoteFile], others: Sequence[RemoteFile]) -> str:
    """The first file that only the first listing has in this way."""
    known = set(others)
    for file in files:
        if file not in known:
            return f"{file.path} ({file.size} bytes, {file.etag[:12]})"
    missing = sorted({file.path for file in others} - {file.path for file in files})
    return f"no {missing[0]}" if missing else "the same"


def _is_same(there: RemoteFile | None, file: RemoteFile) -> bool:
    if there is None or there.size != file.size:
        return False
    return file.sha256 is None or there.sha256 == file.sha256


def _confirms(word: Word, files: Sequence[RemoteFile]) -> bool:
    """Whether a mirror without commits has at least one large file, and all that it has are the same."""
    there = {file.path: file for file in word.files}
    shared = [file for file in files if file.sha256 is not None and file.path in there]
    return bool(shared) and all(_is_same(there[file.path], file) for file in shared)


def _against(word: Word, pinned: Mapping[str, str]) -> str:
    """What of a mirror's list contradicts the digests that are known beforehand, as a clause; empty when nothing does.

    A small file's digest is not in a list: it is compared when the file has arrived.
    """
    listed = {file.path: file for file in word.files}
    for path, sha256 in pinned.items():
        file = listed.get(path)
        if file is None:
            return f"has no {path}"
        if file.sha256 not in (None, sha256):
            return f"has {str(file.sha256)[:12]} as {path}, and the catalog pins {sha256[:12]}"
    return ""


def _silence(silent: Mapping[str, str]) -> str:
    return f" ({'; '.join(clause(url, reason) for url, reason in silent.items())})" if silent else ""
