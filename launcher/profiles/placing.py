"""An app's models: what of them is not there, and links to the Hub cache where the app looks for them.

Invariants: what lies in the app's folder already is its own: it is never changed and counts as there; a link is made
only to a file that is whole and verified; only links into the cache are ever renewed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.cache.layout import hub_cache
from launcher.config import Config
from launcher.errors import ConfigError
from launcher.hub.bringing import Missing, missing
from launcher.hub.catalog import Part, lookup
from launcher.hub.partial import storage_failure
from launcher.hub.wanted import look
from launcher.profiles.profile import Model, Profile


@dataclass(frozen=True)
class Need:
    """One repository that an app needs, and for which of its models."""

    model: Model
    part: Part

    def targets(self, paths: Sequence[str]) -> dict[str, str]:
        """Where in the app's folder each of the repository's files belongs; empty when they stay in the cache."""
        if self.model.into is None:
            return {}
        renamed = {path: self.model.files[path] for path in paths if path in self.model.files}
        chosen = renamed if self.model.files else {path: path for path in paths}
        return {path: f"{self.model.into}/{target}".strip("/") for path, target in chosen.items()}


def needs_of(profile: Profile) -> list[Need]:
    """Every repository that an app needs.

    Raises:
        ConfigError: for a name that is no model.
    """
    found: list[Need] = []
    for model in profile.models:
        try:
            entry = lookup(model.name)
        except ConfigError as error:
            raise ConfigError(f"{profile.source}: models.name: {error.message}", fix=error.fix) from None
        own = entry.parts[0].repo
        # A folder gets one repository; what a catalog's entry adds to it belongs elsewhere.
        found += [Need(model, part) for part in entry.parts if model.into is None or part.repo == own]
    return found


def lacking(config: Config, profile: Profile, directory: Path) -> list[tuple[Need, Missing]]:
    """What is neither in the app's folder nor in the cache; asks no network."""
    found: list[tuple[Need, Missing]] = []
    for need in needs_of(profile):
        if not _is_there(need, directory):
            found += [(need, one) for one in missing(hub_cache(config), [need.part])]
    return found


def _is_there(need: Need, directory: Path) -> bool:
    """Whether the app's folder holds all that is known of it beforehand."""
    targets = need.targets(list(need.part.sizes))
    return bool(targets) and all((directory / target).is_file() for target in targets.values())


def odd_sizes(profile: Profile, directory: Path) -> Iterator[tuple[str, int, int]]:
    """Files of the app's own that are not as large as the catalog says: path, size, expected size."""
    for need in needs_of(profile):
        for path, target in need.targets(list(need.part.sizes)).items():
            with contextlib.suppress(OSError):
                size = (directory / target).stat().st_size
                if size != need.part.sizes[path]:
                    yield target, size, need.part.sizes[path]


def place(config: Config, profile: Profile, directory: Path) -> list[str]:
    """Links every model's files to where the app looks for them; returns what it made, relative to the folder.

    Raises:
        StorageError: when the folder cannot take a link.
    """
    cache = hub_cache(config)
    made: list[str] = []
    for need in needs_of(profile):
        if need.model.into is None:
            continue
        state = look(cache, need.part.wanted)
        if state is None:
            continue  # the app's own folder has it, or it is optional
        absent = {file.path for file in state.missing}
        present = [file.path for file in state.selected.files if file.path not in absent]
        for path, target in need.targets(present).items():
            try:
                if _link(state.snapshot / path, directory / target, cache):
                    made.append(target)
            except OSError as error:
                raise storage_failure(error, directory, target) from None
    return made


def _link(source: Path, target: Path, cache: Path) -> bool:
    """Makes ``target`` lead to ``source``, unless something else is there; whether it made it."""
    if target.is_symlink():
        goal = target.readlink()
        if goal == source or (target.exists() and cache not in goal.parents):
            return False
        target.unlink()
    elif target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError, NotImplementedError):
        target.symlink_to(source)
        return True
    # No links here: a second name of the same content, or else a copy, complete before it has its name.
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        os.link(source.resolve(), fresh)
    except OSError:
        shutil.copyfile(source, fresh)
    fresh.replace(target)
    return True


def bring(
    config: Config,
    profile: Profile,
    directory: Path,
    fetch: Callable[[Sequence[Part], Mapping[Part, int]], object],
    note: Callable[[str], None],
) -> None:
    """Fetches what an app lacks.

    Args:
        config, profile, directory: whose models.
        fetch: brings repositories, of which it gets the bytes that are to come.
        note: gets a sentence about what could not be had and is not needed.

    Raises:
        LauncherError: when something that is needed cannot be had.
    """
    from launcher.errors import FetchError

    found = lacking(config, profile, directory)
    needed = {need.part: one.size_bytes for need, one in found if not need.model.optional}
    if needed:
        fetch(list(needed), needed)
    for need, one in found:
        if need.model.optional:
            try:
                fetch([need.part], {need.part: one.size_bytes})
            except FetchError as error:
                note(f"WARNING {need.model.name} could not be fetched, and the app starts without it: {error.message}")
