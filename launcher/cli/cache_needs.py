"""Which cache a command means, which models of the catalog live in it, and which of them are needed.

Needed is what the engine in use, an installed engine or ``LAUNCHER_MODELS`` cannot work without; while the engine is
chosen by itself (``auto``), every model that is complete here is.

Invariants: nothing is asked of any network; in doubt a revision is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import ConfigError

if TYPE_CHECKING:
    from launcher.cache.usage import Repo, Usage
    from launcher.config import Config
    from launcher.hub.catalog import CatalogEntry, Part


@dataclass(frozen=True)
class Named:
    """A repository that a person named.

    Attributes:
        repo: what was meant.
        commit: when it was named, too.
        entry: the model of the catalog that was named instead of the repository; empty when it was not.
    """

    repo: Repo
    commit: str = ""
    entry: str = ""


def chosen_cache(config: Config, given: Path | None) -> tuple[Path, str, bool]:
    """The cache that a command works on.

    Args:
        config: the settings.
        given: what the command was told; ``None`` for the pinned cache.

    Returns:
        The folder, the setting or option that names it, and whether it has to be there.
    """
    from launcher.cache.layout import hub_cache
    from launcher.cache.usage import hub_folder
    from launcher.config.home import whole_path

    if given is not None:
        return hub_folder(whole_path(given)), "--cache", True
    return hub_cache(config), "HF_HUB_CACHE", False


def load_usage(config: Config, given: Path | None) -> Usage:
    """What the cache that a command works on holds.

    Raises:
        StorageError: when it cannot be read or is no cache.
    """
    from launcher.cache.usage import scan

    folder, setting, must_exist = chosen_cache(config, given)
    return scan(folder, setting, must_exist=must_exist)


def catalog_users() -> dict[str, tuple[str, ...]]:
    """Repository to the models of the catalog that are made of it."""
    from launcher.hub.catalog import catalog

    users: dict[str, dict[str, None]] = {}
    for entry in catalog():
        for part in entry.parts:
            users.setdefault(part.repo, {})[entry.name] = None
    return {repo: tuple(names) for repo, names in users.items()}


def needs(config: Config, usage: Usage) -> dict[tuple[str, str], dict[str, str]]:
    """What must stay: (repository, commit) to the models that need it, each with the reason, a clause."""
    from launcher.hub.catalog import lookup

    found: dict[tuple[str, str], dict[str, str]] = {}
    wanted = [(entry, reason) for entry, reason in _entries_in_use(config, usage.cache)]
    wanted += [(lookup(name), f"LAUNCHER_MODELS names {name}") for name in config.models]
    for entry, reason in wanted:
        for part in entry.parts:
            for key in _revisions_of(usage, part):
                found.setdefault(key, {}).setdefault(entry.name, reason)
    return found


def needed_revisions(config: Config, usage: Usage) -> dict[tuple[str, str], str]:
    """What must stay: (repository, commit) to one reason."""
    return {key: next(iter(reasons.values())) for key, reasons in needs(config, usage).items()}


def select_named(usage: Usage, names: tuple[str, ...]) -> list[Named]:
    """The repositories in the cache that the names mean: of the catalog, ``org/name``, or ``org/name@revision``.

    Raises:
        ConfigError: for a name that is not in the cache.
    """
    from launcher.hub.catalog import lookup

    by_name = {repo.full_name.lower(): repo for repo in usage.repos}
    found: list[Named] = []
    for name in names:
        plain, _, revision = name.partition("@")
        repo = by_name.get(plain.lower())
        if repo is not None:
            found.append(Named(repo, _commit(repo, revision)))
            continue
        entry = lookup(name)
        there = [by_name[part.repo.lower()] for part in entry.parts if part.repo.lower() in by_name]
        if not there:
            raise ConfigError(f"{name} is not in {usage.cache}.", fix="See what is there with: tts-launcher cache ls")
        found += [Named(one, entry=entry.name) for one in there]
    return found


def _commit(repo: Repo, revision: str) -> str:
    if not revision:
        return ""
    commits = [one.commit for one in repo.revisions]
    fitting = [commit for commit in commits if commit.startswith(revision)] if len(revision) >= 6 else []
    commit = repo.refs.get(revision, revision)
    if commit in commits:
        return commit
    if len(fitting) == 1:
        return fitting[0]
    raise ConfigError(
        f"{repo.full_name} has no revision {revision} here.",
        fix="See what is there with: tts-launcher cache ls --revisions",
    )


def _entries_in_use(config: Config, cache: Path) -> Iterator[tuple[CatalogEntry, str]]:
    from launcher.hub.catalog import catalog, needed_by

    for engine in sorted({engine for entry in catalog() for engine in entry.engines}):
        for entry in needed_by(engine):
            if engine == config.engine:
                yield entry, f"the engine {engine} needs {entry.name}"
            elif _is_installed(config, engine):
                yield entry, f"the installed engine {engine} needs {entry.name}"
            elif config.engine == "auto" and all(_may_be_complete(cache, part) for part in entry.parts):
                yield entry, f"{entry.name} is complete, and the engine {engine} may be chosen"


def _is_installed(config: Config, engine: str) -> bool:
    from launcher.engines.environments import installed

    return installed(config, engine) is not None


def _may_be_complete(cache: Path, part: Part) -> bool:
    """Whether nothing is known to be missing; what other tools fetched has no list of files and counts as complete."""
    from launcher.hub.placement import RepoFolder
    from launcher.hub.wanted import look

    state = look(cache, part.wanted)
    if state is not None:
        return not state.missing
    folder = RepoFolder(cache, part.repo)
    return folder.snapshot(folder.commit_of(part.revision) or "none").is_dir()


def _revisions_of(usage: Usage, part: Part) -> Iterator[tuple[str, str]]:
    """The commit that the part means today; all of them when that is not known."""
    for repo in usage.repos:
        if repo.full_name == part.repo:
            commit = repo.refs.get(part.revision, part.revision)
            commits = [one.commit for one in repo.revisions]
            yield from ((repo.full_name, one) for one in ([commit] if commit in commits else commits))
