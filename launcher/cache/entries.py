"""From folders to manifests: every name of a cache with the digest of its content, and each content into a store.

Invariants: a content goes into a manifest under the digest that it really has; nothing in the cache is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from launcher.cache import content
from launcher.cache.migrate_find import OldCache
from launcher.cache.migrate_plan import Item, make_plan
from launcher.cache.store import Count, Entry, Store


def items_of(kind: str, root: Path) -> tuple[Item, ...]:
    """Every name below a Hub cache or a ``TORCH_HOME``; nothing when it is not there."""
    return make_plan(OldCache(kind, root, root)).items if root.is_dir() else ()


def entries_of(root: Path, items: Iterable[Item], known: Mapping[str, Entry]) -> Iterator[Entry]:
    """The entries for ``items``.

    Args:
        root: their folder.
        items: from `items_of`.
        known: entries of an earlier manifest by path; a file that has not changed since keeps its digest.
    """
    for item in items:
        if item.link:
            yield Entry(item.path, link=item.link)
            continue
        facts = (root / item.path).stat()
        if item.digest:
            yield Entry(item.path, facts.st_size, item.digest)
            continue
        earlier = known.get(item.path)
        if earlier is not None and (earlier.size, earlier.mtime_ns) == (facts.st_size, facts.st_mtime_ns):
            yield earlier
        else:
            yield Entry(item.path, facts.st_size, content.digest_of(root / item.path), mtime_ns=facts.st_mtime_ns)


def keep(root: Path, entries: Iterable[Entry], store: Store, count: Count) -> tuple[int, list[str]]:
    """Puts every content into a store that it lacks.

    Args:
        root: the entries' folder.
        entries: from `entries_of`.
        store: where.
        count: gets the bytes done.

    Returns:
        How many bytes were new, and the paths whose content is not what its name says.
    """
    fresh, damaged = 0, []
    for entry in entries:
        if entry.link:
            continue
        if store.has(entry):
            count(entry.size)
            continue
        source = root / entry.path
        # A lent content is a link; its bytes count.
        if store.put(entry, source.resolve() if source.is_symlink() else source, count) == "damaged":
            damaged.append(entry.path)
        else:
            fresh += entry.size
    return fresh, damaged
