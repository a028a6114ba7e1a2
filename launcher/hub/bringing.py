"""From what an engine needs to files in the cache: what is missing, fetching it, and the sentence without a network.

Invariants: `missing` reads this disk and nothing else; `bring` asks no mirror for what is complete; progress counts
every repository together, by the sizes that the catalog knows until a mirror has told the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.cache.layout import hub_cache
from launcher.config import Config
from launcher.errors import FetchError
from launcher.hub.catalog import Part, lookup, needed_by
from launcher.hub.placement import RepoFolder
from launcher.hub.wanted import Wanted, look
from launcher.progress import Progress

if TYPE_CHECKING:
    from launcher.hub.fetch import Fetched, Reporting

#: A sentence that lists more says how many more.
_MOST_NAMES = 12
_MB = 1_000_000


@dataclass(frozen=True)
class Missing:
    """What of a repository is not on this disk.

    Attributes:
        files: their paths; empty when even their names are not known.
        size_bytes: together, as far as known.
    """

    wanted: Wanted
    files: tuple[str, ...]
    size_bytes: int

    def describe(self) -> str:
        """``org/name (3 files, 1,234.5 MB)``."""
        count = f"{len(self.files)} file{'s' * (len(self.files) != 1)}" if self.files else "everything"
        return f"{self.wanted.repo} ({count}{f', {self.size_bytes / _MB:,.1f} MB' if self.size_bytes else ''})"


def needs(config: Config, engine: str) -> list[Part]:
    """The repositories that must be complete before an engine starts: its own, then those of ``LAUNCHER_MODELS``.

    Raises:
        ConfigError: for a name in ``LAUNCHER_MODELS`` that is none.
    """
    found: dict[Wanted, Part] = {}
    # What is optional today is the model that reads emotions from text: without a network it is no reason to stay shut.
    takes_optional = config.qwen == "yes" or (config.qwen == "auto" and not config.is_offline)
    for entry in needed_by(engine):
        own = entry.parts[0].repo
        for part in entry.parts:
            # A folder of the user's takes the place of the model itself, which comes first; its helpers are still
            # needed.
            if not (config.model_dir and part.repo == own) and (takes_optional or not part.optional):
                found.setdefault(part.wanted, part)
    for name in config.models:
        for part in lookup(name).parts:
            found.setdefault(part.wanted, part)
    return list(found.values())


def missing(cache: Path, parts: Sequence[Part]) -> list[Missing]:
    """What is not there; empty when all is complete."""
    found = []
    for part in parts:
        state = look(cache, part.wanted)
        if state is None:
            found.append(Missing(part.wanted, (), sum(part.sizes.values())))
        elif state.missing:
            paths = tuple(file.path for file in state.missing)
            found.append(Missing(part.wanted, paths, state.missing_bytes))
    return found


def offline_error(config: Config, engine: str, lacking: Sequence[Missing], *, models: Sequence[str] = ()) -> FetchError:
    """What to say when something is missing and no network may be used.

    Args:
        config: the settings.
        engine: what needs it.
        lacking: what is missing.
        models: what to fetch; empty for the engine's own and those of ``LAUNCHER_MODELS``.
    """
    names = [one.describe() for one in lacking]
    shown = ", ".join(names[:_MOST_NAMES]) + (f" and {len(names) - _MOST_NAMES} more" * (len(names) > _MOST_NAMES))
    size = sum(one.size_bytes for one in lacking)
    total = f"; {size / _MB:,.1f} MB together" if len(lacking) > 1 and size else ""
    named = " ".join(models or (*(entry.name for entry in needed_by(engine)), *config.models))
    return FetchError(
        f"No network may be used, and {hub_cache(config)} lacks {shown}{total}.",
        fix=f"Run once with a network: tts-launcher fetch {named}; or copy that folder from a machine that has them.",
    )


def bring(
    config: Config,
    wanted: Sequence[Wanted],
    reporting: Reporting,
    *,
    update: bool = False,
    expected: Mapping[Wanted, int] | None = None,
) -> list[tuple[Wanted, Fetched]]:
    """Fetches what is missing, from the best mirror so far first, and remembers how each one did.

    Args:
        config: the settings.
        wanted: the repositories, in this order.
        reporting: told about all of them together.
        update: ask for the newest commits even when everything is there.
        expected: bytes that are to come, as far as known beforehand.

    Raises:
        FetchError: when the mirrors cannot serve it rightly.
        StorageError: when the disk cannot take it.
    """
    # The supervisor asks this module what is missing; the code that fetches is not for it to load.
    from launcher.cache.restore import bring_back
    from launcher.hub.endpoints import parse_endpoints
    from launcher.hub.fetch import Fetcher
    from launcher.hub.ranking import Ranking

    endpoints, ranking = parse_endpoints(config), Ranking.load(config)
    whole = _Whole(reporting.progress, dict(expected or {}))
    done = []
    for one in wanted:
        ordered = ranking.order(endpoints, one.repo, one.revision)
        told = replace(reporting, progress=whole.begin(one))
        bring_back(config, RepoFolder(hub_cache(config), one.repo).root.name, reporting.progress, reporting.note)
        try:
            fetcher = Fetcher(
                hub_cache(config), ordered, config.standard, reporting=told, shared=config.is_cache_shared
            )
            fetched = fetcher.fetch(one, update=update)
        except FetchError as error:
            ranking.note_waits(error.rejected)
            raise
        ranking.learn(endpoints, one.repo, one.revision, fetched.rates, fetched.rejected)
        whole.end()
        done.append((one, fetched))
    return done


class _Whole:
    """Makes the progress of one repository after the other into that of all.

    Args:
        report: gets it.
        expected: bytes that are still to come, as far as known.
    """

    def __init__(self, report: Callable[[Progress], None], expected: dict[Wanted, int]) -> None:
        self._report = report
        self._expected = expected
        self._done_bytes = 0.0
        self._current = 0.0

    def begin(self, wanted: Wanted) -> Callable[[Progress], None]:
        """What gets the progress of the next repository."""
        self._expected.pop(wanted, None)
        self._current = 0.0

        def take(progress: Progress) -> None:
            if progress.stage != "fetch" or progress.total is None:
                self._report(progress)
                return
            self._current = progress.total
            done = self._done_bytes + progress.done
            total = self._done_bytes + progress.total + sum(self._expected.values())
            rate = progress.rate_per_s
            eta_s = (total - done) / rate if rate else None
            self._report(replace(progress, done=done, total=total, eta_s=eta_s))

        return take

    def end(self) -> None:
        """The repository is complete."""
        self._done_bytes += self._current
