"""Where packages come from: our settings, else uv's, else pip's, else PyPI.

Invariants: nobody is asked unless ``fastest`` is among the settings; a user name or password in an address is never
shown.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from launcher.config import Config
from launcher.config.package_index import FASTEST, KNOWN_INDEXES, parse_indexes
from launcher.errors import FetchError

_PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Index:
    """A package index.

    Attributes:
        url: empty leaves it to uv's own settings.
        source: who decided.
    """

    url: str
    source: str

    @property
    def shown(self) -> str:
        """For people, without credentials."""
        return re.sub(r"(://)[^/@]+@", r"\1********@", self.url) or f"the index that {self.source} names"

    def arguments(self) -> tuple[str, ...]:
        """For uv."""
        return ("--default-index", self.url) if self.url else ()


#: Seconds that an index took to answer; ``None`` when it did not.
Probe = Callable[[str], "float | None"]


def package_indexes(config: Config, environ: Mapping[str, str], *, probe: Probe | None = None) -> tuple[Index, ...]:
    """The indexes to try, in order; at least one.

    Args:
        config: the settings.
        environ: the environment, as `os.environ`.
        probe: measures an index; ``None`` asks it for one small page.

    Raises:
        FetchError: when ``fastest`` is wanted and none of the known ones answers.
    """
    ours = parse_indexes(config.package_index)
    if ours:
        found: list[str] = []
        for word in ours:
            found += _fastest(probe or _Probe(config)) if word == FASTEST else [KNOWN_INDEXES.get(word, word)]
        return tuple(Index(url, "LAUNCHER_PACKAGE_INDEX") for url in dict.fromkeys(found))
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if environ.get(name):
            return (Index("", name),)
    if environ.get("PIP_INDEX_URL"):
        return (Index(environ["PIP_INDEX_URL"], "PIP_INDEX_URL"),)
    path, values = _pip_settings(environ)
    if values.get("index-url"):
        return (Index(values["index-url"], str(path)),)
    return (Index("", "uv itself (PyPI)"),)


def package_links(config: Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Folders and pages with further wheels; what ``UV_FIND_LINKS`` names uv finds by itself.

    Args:
        config: the settings.
        environ: the environment, as `os.environ`.
    """
    listed = config.package_links or environ.get("PIP_FIND_LINKS") or _pip_settings(environ)[1].get("find-links", "")
    # A folder's name may hold spaces; pip's lists are separated by them.
    words = [listed] if Path(os.path.expanduser(listed)).is_dir() else listed.split()  # noqa: PTH111
    return tuple(os.path.expanduser(word) if "://" not in word else word for word in words if word)  # noqa: PTH111


def _pip_settings(environ: Mapping[str, str]) -> tuple[Path | None, Mapping[str, str]]:
    """The first of pip's files that names an index or links."""
    from configparser import ConfigParser, Error

    if environ.get("PIP_CONFIG_FILE") == os.devnull:  # pip's way to say that no file counts
        return None, {}
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or "/nonexistent")
    candidates = [
        environ.get("PIP_CONFIG_FILE", ""),
        environ.get("APPDATA", "") and str(Path(environ["APPDATA"]) / "pip" / "pip.ini"),
        str(Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"),
        str(home / ".pip" / "pip.conf"),
        "/etc/pip.conf",
    ]
    for path in map(Path, filter(None, candidates)):
        parser = ConfigParser(interpolation=None)
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeError, Error):  # not there, or not for us to mend
            continue
        values = {
            name: parser[section][name].strip()
            for section in ("global", "install")
            if section in parser
            for name in ("index-url", "find-links")
            if name in parser[section]
        }
        if values:
            return path, values
    return None, {}


def _fastest(probe: Probe) -> list[str]:
    urls = list(KNOWN_INDEXES.values())
    with ThreadPoolExecutor(len(urls)) as pool:
        times = list(pool.map(probe, urls))
    answered = sorted((seconds, url) for seconds, url in zip(times, urls, strict=True) if seconds is not None)
    if not answered:
        raise FetchError(
            f"None of {', '.join(KNOWN_INDEXES)} answers.",
            fix="Check the network and HTTPS_PROXY, or set LAUNCHER_PACKAGE_INDEX to an index that can be reached.",
        )
    return [url for _, url in answered]


@dataclass(frozen=True)
class _Probe:
    config: Config

    def __call__(self, url: str) -> float | None:
        from launcher.hub.proxies import make_pool

        began = time.monotonic()
        try:
            pool = make_pool(url, self.config.standard, timeout=_PROBE_TIMEOUT_S, retries=False)
            answer = pool.request("GET", f"{url}/uv/", redirect=False)
        except Exception:  # noqa: BLE001 - whatever a proxy, TLS or a host does, it has not answered
            return None
        return time.monotonic() - began if answer.status == 200 else None


def describe(indexes: Sequence[Index]) -> str:
    """The indexes for people."""
    return ", then ".join(index.shown for index in indexes)
