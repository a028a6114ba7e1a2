"""What of an old cache goes where, in an order in which the pinned cache is sound after every single step.

A repository's list of files comes before its contents, contents before the links to them, refs last: libraries take a
part for the whole only where there is no list.

Invariants: a plan changes nothing; its paths stay below the two roots.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.cache.content import is_digest
from launcher.cache.migrate_find import REPO_PREFIXES, OldCache

#: What tools make again by themselves, or what means nothing elsewhere.
JUNK = frozenset({".locks", "CACHEDIR.TAG", "version.txt", ".DS_Store", "Thumbs.db", "desktop.ini", ".no_exist"})


@dataclass(frozen=True)
class Item:
    """One name that belongs into the pinned cache.

    Attributes:
        path: below both roots, with ``/``.
        size: in bytes; 0 for a link.
        digest: that names the content; empty when nothing does.
        link: text of a symbolic link; empty for a file.
        keep: whether another content under the same name in the pinned place is right, too (refs, lists, receipts).
    """

    path: str
    size: int = 0
    digest: str = ""
    link: str = ""
    keep: bool = False


@dataclass(frozen=True)
class Plan:
    """What a migration would do.

    Attributes:
        old: from where to where.
        items: in order.
        same_disk: whether hard links are possible between the two.
        movable: whether the old folder can be replaced by a link.
        dangling: links whose content is gone; they stay behind.
    """

    old: OldCache
    items: tuple[Item, ...]
    same_disk: bool
    movable: bool
    dangling: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """All contents, in bytes."""
        return sum(item.size for item in self.items)

    def there(self, item: Item) -> bool:
        """Whether the pinned place has something under that name."""
        return os.path.lexists(self.old.target / item.path)

    @property
    def bytes_to_copy(self) -> int:
        """What needs new room on the pinned disk."""
        return 0 if self.same_disk else sum(item.size for item in self.items if not self.there(item))


def make_plan(old: OldCache) -> Plan:
    """The plan for a Hub, torch or ModelScope cache."""
    dangling: list[str] = []
    walk = _hub_items if old.kind == "hub" else _tree_items
    items = tuple(walk(old.root, dangling))
    return Plan(old, items, _same_disk(old), _is_movable(old.root), tuple(dangling))


def _same_disk(old: OldCache) -> bool:
    target = old.target
    while not target.exists():
        target = target.parent
    return target.stat().st_dev == old.root.stat().st_dev


def _is_movable(root: Path) -> bool:
    """Whether the folder may be renamed: it is no disk's own root, and its parent may be written."""
    return not os.path.ismount(root) and os.access(root.parent, os.W_OK | os.X_OK) and os.access(root, os.W_OK)


def _hub_items(root: Path, dangling: list[str]) -> Iterator[Item]:
    for repo in sorted(root.iterdir()):
        if repo.name.startswith(REPO_PREFIXES) and repo.is_dir() and not repo.is_symlink():
            yield from repo_items(root, repo, dangling)


def repo_items(root: Path, repo: Path, dangling: list[str]) -> Iterator[Item]:
    """One repository's names, in order.

    Args:
        root: the Hub cache.
        repo: the repository's folder in it.
        dangling: gets the paths of links whose content is gone.
    """
    for folder in ("trees", ".receipts"):
        for path in _files(repo / folder):
            yield Item(_name(root, path), path.stat().st_size, keep=True)
    for path in _files(repo / "blobs"):
        if path.name.endswith((".incomplete", ".lock")):
            continue
        try:
            size = path.stat().st_size  # a blob may itself be a link into a store that several repositories share
        except OSError:
            dangling.append(_name(root, path))
            continue
        yield Item(_name(root, path), size, digest=path.name if is_digest(path.name) else "")
    for path in _files(repo / "snapshots"):
        yield from _snapshot_item(root, repo, path, dangling)
    for path in _files(repo / "refs"):
        yield Item(_name(root, path), path.stat().st_size, keep=True)


def _snapshot_item(root: Path, repo: Path, path: Path, dangling: list[str]) -> Iterator[Item]:
    if not path.exists():
        dangling.append(_name(root, path))
    elif not path.is_symlink():
        yield Item(_name(root, path), path.stat().st_size)
    else:
        blob = Path(os.path.normpath(path.parent / path.readlink()))  # the first hop alone
        if blob.parent == repo / "blobs":
            yield Item(_name(root, path), link=os.path.relpath(blob, path.parent))
        else:
            yield Item(_name(root, path), path.stat().st_size)


def _tree_items(root: Path, dangling: list[str]) -> Iterator[Item]:
    for path in _files(root):
        name = _name(root, path)
        if JUNK.intersection(name.split("/")):
            continue
        if path.is_symlink():
            real = Path(os.path.realpath(path))
            if not real.exists():
                dangling.append(name)
            else:
                inside = real.is_relative_to(root)
                yield Item(name, link=os.path.relpath(real, path.parent) if inside else str(real))
        elif path.is_file():
            yield Item(name, path.stat().st_size)


def _files(folder: Path) -> list[Path]:
    """Every name below a folder that is no folder, sorted; links are not followed."""
    found = []
    for parent, names, files in os.walk(folder):
        links = [name for name in names if (Path(parent) / name).is_symlink()]
        found += [Path(parent) / name for name in (*files, *links)]
    return sorted(found)


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
