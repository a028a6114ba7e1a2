"""Who tells the truth about a repository, judged from what several endpoints say.

Invariants: a trusted endpoint's word counts alone, the first one's most; without one, more than half of those that
answered; where neither decides, nobody is rejected and everybody's disagreement is noted. A rejection names who says
otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from launcher.hub.endpoints import Endpoint
from launcher.hub.remote_files import COMMIT, RemoteFile


@dataclass(frozen=True)
class Look:
    """What one endpoint says about a repository.

    Attributes:
        endpoint: whose word it is.
        rejected: why it does not count, as a clause that continues its name; empty when it does.
        notes: what else a person should know, one clause each.
        commit: empty for a place that has none.
        latency_s: until its first answer.
        files: by path.
    """

    endpoint: Endpoint
    rejected: str = ""
    notes: tuple[str, ...] = ()
    commit: str = ""
    latency_s: float | None = None
    files: Mapping[str, RemoteFile] = field(default_factory=dict)


def agree(one: RemoteFile, other: RemoteFile) -> bool:
    """Whether two listings can mean the same content, judged by what both name."""
    if one.size != other.size:
        return False
    if one.sha256 and other.sha256:
        return one.sha256 == other.sha256
    return not (one.git_sha1 and other.git_sha1) or one.git_sha1 == other.git_sha1


def reference_of(looks: Sequence[Look], revision: str) -> Look | None:
    """Whose word the others are measured by; ``None`` when nothing decides."""
    speaking = [look for look in looks if not look.rejected and look.commit]
    if COMMIT.fullmatch(revision):
        speaking = [look for look in speaking if look.commit == revision]
    trusted = next((look for look in speaking if look.endpoint.trusted), None)
    if trusted is not None or not speaking:
        return trusted
    commit, count = Counter(look.commit for look in speaking).most_common(1)[0]
    if 2 * count <= len(speaking):
        return None
    return next(look for look in speaking if look.commit == commit)


def judge(looks: Sequence[Look], revision: str) -> list[Look]:
    """The same looks, those that contradict the reference rejected."""
    reference = reference_of(looks, revision)
    judged = []
    for look in looks:
        if look.rejected or look is reference:
            judged.append(look)
        elif COMMIT.fullmatch(revision) and look.commit not in ("", revision):
            rejected = f"answers with commit {look.commit[:8]} when asked for {revision[:8]}"
            judged.append(replace(look, rejected=rejected))
        elif reference is None:
            judged.append(_without_reference(look, looks))
        else:
            judged.append(_against(look, reference))
    return judged


def _without_reference(look: Look, looks: Sequence[Look]) -> Look:
    if not look.commit:
        return replace(look, notes=(*look.notes, "cannot be compared, because no Hub answers that can be believed"))
    other = next((one for one in looks if not one.rejected and one.commit not in ("", look.commit)), None)
    if other is None:
        return look
    said = f"says commit {look.commit[:8]}, and {other.endpoint.url} says {other.commit[:8]}"
    return replace(look, notes=(*look.notes, said))


def _against(look: Look, reference: Look) -> Look:
    who, notes = reference.endpoint.url, look.notes
    if look.commit and look.commit != reference.commit:
        return replace(look, rejected=f"holds commit {look.commit[:8]}, and {who} holds {reference.commit[:8]}")
    differing = [path for path in look.files if not _agrees_on(path, look, reference)]
    if differing and look.commit:  # the same commit cannot mean other files
        return replace(look, rejected=f"names another size or digest for {differing[0]} than {who}")
    if differing:
        notes = (*notes, f"has other versions of {len(differing)} files")
    missing = len(reference.files.keys() - look.files.keys())
    if missing:
        notes = (*notes, f"lacks {missing} of {len(reference.files)} files")
    return replace(look, notes=notes)


def _agrees_on(path: str, look: Look, reference: Look) -> bool:
    theirs = reference.files.get(path)
    return theirs is None or agree(look.files[path], theirs)


def sampled_file(looks: Sequence[Look], path: str) -> RemoteFile | None:
    """The file to measure with: ``path``, else the largest of the first endpoint that counts; ``None`` without one."""
    counting = [look for look in looks if not look.rejected]
    # The first that is trusted, else one with a commit, else any.
    order = sorted(counting, key=lambda look: (not look.endpoint.trusted, not look.commit))
    for look in order:
        if path and path in look.files:
            return look.files[path]
        if not path and look.files:
            return max(look.files.values(), key=lambda file: (file.size, file.path))
    return None


def compare_samples(heads: Mapping[str, str], trusted: set[str]) -> dict[str, str]:
    """Who sent other bytes than the rest.

    Args:
        heads: address to a digest of the first bytes of the same file.
        trusted: addresses whose word counts alone.

    Returns:
        Address to the clause that rejects it.
    """
    named = next((url for url in heads if url in trusted), None)
    if named is None:
        most = Counter(heads.values()).most_common(1)
        if not most or 2 * most[0][1] <= len(heads):
            return {}
        named = next(url for url, head in heads.items() if head == most[0][0])
    return {url: f"sends other bytes than {named}" for url, head in heads.items() if head != heads[named]}
