"""What is wanted of a repository, and what of it is on this disk already.

Invariants: nothing is asked for; what is not known is not guessed: a snapshot without a record counts only when the
patterns themselves name its files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.cache.overlay import lend_new
from launcher.errors import ConfigError
from launcher.hub.placement import RepoFolder
from launcher.hub.receipts import known_tree, snapshot_tree
from launcher.hub.remote_files import RemoteFile, RepoTree, is_safe_path, kind_of
from launcher.hub.selection import Selected, Selection, matches, select


@dataclass(frozen=True)
class Wanted:
    """What to fetch.

    Attributes:
        repo: ``org/name``, with ``spaces/`` or ``datasets/`` before it for what is no model.
        revision: a branch, tag or commit.
        selection: which of its files.
        pinned: path to sha256, as far as known beforehand.
    """

    repo: str
    revision: str = "main"
    selection: Selection = field(default_factory=Selection)
    pinned: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class State:
    """What of a `Wanted` is on this disk.

    Attributes:
        tree: everything that the repository holds.
        selected: the files that are wanted, and those that are not.
        missing: the wanted ones that are not there.
        snapshot: the folder that holds them.
    """

    tree: RepoTree
    selected: Selected
    missing: tuple[RemoteFile, ...]
    snapshot: Path

    @property
    def missing_bytes(self) -> int:
        """What is still to come."""
        return sum(file.size for file in self.missing)


def look(cache: Path, wanted: Wanted) -> State | None:
    """What is on this disk, without any request; ``None`` when it does not even know the list of files.

    Raises:
        ConfigError: for a name that is none.
    """
    check_names(wanted)
    folder = RepoFolder(cache, wanted.repo)
    lend_new(cache, folder.root.name)  # what a base below this cache has got meanwhile
    tree = known_tree(folder, wanted.repo, wanted.revision)
    if tree is None:
        tree = snapshot_tree(folder, wanted.repo, wanted.revision)
        if tree is None or not _is_all(tree, wanted.selection):
            return None
    return state_of(folder, tree, wanted.selection)


def _is_all(tree: RepoTree, selection: Selection) -> bool:
    """Whether nothing can be missing from a list of what is there: every pattern has found something."""
    paths = [file.path for file in tree.files]
    return bool(selection.include) and all(any(matches(path, [one]) for path in paths) for one in selection.include)


def check_names(wanted: Wanted) -> None:
    """Refuses names that could mean another place than a repository's.

    Raises:
        ConfigError: for a name that is none.
    """
    parts = kind_of(wanted.repo)[1].split("/")
    if len(parts) != 2 or not is_safe_path(wanted.repo) or any(part.startswith(("-", ".")) for part in parts):
        raise ConfigError(f"{wanted.repo!r} is not the name of a repository.", fix="Write it as org/name.")
    if not is_safe_path(wanted.revision):
        raise ConfigError(f"{wanted.revision!r} is not a revision.", fix="Use a branch, a tag or a commit.")


def state_of(folder: RepoFolder, tree: RepoTree, selection: Selection) -> State:
    """What of a known tree is there, by name and size."""
    selected = select(tree.files, selection)
    missing = tuple(file for file in selected.files if not folder.holds(tree.commit, file.path, file.size))
    return State(tree, selected, missing, folder.snapshot(tree.commit))
