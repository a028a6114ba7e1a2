"""What each model needs, as data (``catalog.json``), and how people name a model or a repository.

A name is one of the catalog's, or ``org/name[@revision][:pattern,pattern...]``, with ``spaces/`` or ``datasets/``
before it for what is no model.

Invariants: the catalog is read when it is asked for; a part that uses another entry has no parts of its own; sizes
are what is known beforehand, and what a fetch does is decided by what the hub lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from launcher.errors import ConfigError
from launcher.hub.selection import Selection
from launcher.hub.wanted import Wanted

_REPO = re.compile(
    r"(?P<repo>((spaces|datasets)/)?[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
    r"(@(?P<revision>[^:]+))?(:(?P<patterns>.+))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Part:
    """One repository of a model.

    Attributes:
        repo: ``org/name``.
        licence: as its authors name it; empty when it is not known.
        include: patterns of the files that are needed; empty for all release assets.
        sizes: bytes by path, as far as known.
        revision: a branch, tag or commit.
        sha256: digests by path, as far as known: what a mirror says must not contradict them.
        optional: what it is good for, as a clause, when the model works without it; empty when it is needed.
    """

    repo: str
    licence: str = ""
    include: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict, hash=False)
    revision: str = "main"
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)
    optional: str = ""

    @property
    def wanted(self) -> Wanted:
        """What to fetch for it."""
        return Wanted(self.repo, self.revision, Selection(self.include), self.sha256)


@dataclass(frozen=True)
class CatalogEntry:
    """A model and all that it needs.

    Attributes:
        name: as people write it.
        title: one line about it.
        engines: that cannot work without it.
        parts: its repositories.
        extends: engines that can do more with it.
    """

    name: str
    title: str
    engines: tuple[str, ...]
    parts: tuple[Part, ...]
    extends: tuple[str, ...] = ()

    @property
    def needed_parts(self) -> tuple[Part, ...]:
        """Those that the model does not work without."""
        return tuple(part for part in self.parts if not part.optional)


def catalog() -> tuple[CatalogEntry, ...]:
    """Every model of the catalog, in its order."""
    text = resources.files("launcher.hub").joinpath("catalog.json").read_text(encoding="utf-8")
    models = json.loads(text)["models"]
    by_name = {model["name"]: model for model in models}
    return tuple(
        CatalogEntry(
            model["name"],
            model["title"],
            tuple(model["engines"]),
            tuple(_parts(model, by_name)),
            tuple(model.get("extends", ())),
        )
        for model in models
    )


def needed_by(engine: str) -> tuple[CatalogEntry, ...]:
    """The models that an engine cannot work without; those that are a part of another one come with that one.

    Args:
        engine: its name, such as ``indextts2`` or ``kokoro``.
    """
    entries = [entry for entry in catalog() if engine in entry.engines]
    return tuple(
        entry
        for entry in entries
        if not any(other is not entry and set(entry.parts) < set(other.parts) for other in entries)
    )


def _parts(model: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    found: list[Part] = []
    for part in model["parts"]:
        if "use" in part:
            found += _parts(by_name[part["use"]], {})
        else:
            sizes = {path: facts["size"] for path, facts in part["files"].items()}
            sha256 = {path: facts["sha256"] for path, facts in part["files"].items() if "sha256" in facts}
            include, optional = tuple(part["include"]), part.get("optional", "")
            found.append(Part(part["repo"], part["licence"], include, sizes, part["revision"], sha256, optional))
    return found


def _folded(name: str) -> str:
    """A name as people remember it: ``IndexTTS2.5`` and ``index_tts-2.5`` are ``indextts-2.5``."""
    return re.sub(r"[\s_-]", "", name).lower()


def lookup(name: str, entries: Sequence[CatalogEntry] | None = None) -> CatalogEntry:
    """The model of that name, or an entry for the repository that it names.

    Raises:
        ConfigError: when it is neither.
    """
    entries = catalog() if entries is None else entries
    for entry in entries:
        if _folded(entry.name) == _folded(name):
            return entry
    found = _REPO.fullmatch(name)
    if found is None:
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), [entry.name for entry in entries], n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else "See the names with: tts-launcher models."
        raise ConfigError(
            f"There is no model {name!r} in the catalog.", fix=f"{hint} A repository is written org/name."
        )
    patterns = tuple(filter(None, (part.strip() for part in (found["patterns"] or "").split(","))))
    part = Part(found["repo"], include=patterns, revision=found["revision"] or "main")
    return CatalogEntry(found["repo"], found["repo"], (), (part,))
