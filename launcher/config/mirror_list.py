"""Mirrors as people write them: the list in ``LAUNCHER_MIRRORS`` and the entries of a mirrors file.

Invariants: nothing is looked up and no file is read; an entry that is accepted needs no further check but whether its
address may do without encryption; no message repeats a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from launcher.config.parsers import BadValue, endpoint, plain_secret

KINDS = ("hub", "modelscope", "private")
#: Words that stand for addresses which the launcher knows; ``builtin`` for all of them.
BUILT_IN_WORDS = ("builtin", "official", "hf-mirror", "modelscope")
#: More connections to one host are refused by many (429) and gain nothing over one more mirror.
MAX_CONNECTIONS = 32
#: Enough for one mirror to keep a fast line busy, few enough for any host.
DEFAULT_CONNECTIONS = 8
_OPTIONS = ("kind", "token_file", "weight", "connections", "trusted")
_REPO_ID = re.compile(r"[A-Za-z0-9._-]{1,96}/[A-Za-z0-9._-]{1,96}", re.ASCII)
_EXAMPLE = "Write it as https://mirror.example.org;kind=hub;weight=2;connections=8"


@dataclass(frozen=True)
class MirrorEntry:
    """One mirror as it was written.

    Attributes:
        url: without a slash at its end; a host in lower case.
        kind: one of `KINDS`.
        token: empty when there is none; only a mirrors file can hold one.
        token_file: path of a file that holds it; empty when there is none.
        weight: how much its speed counts against the others'; above 0, up to 100.
        connections: at the same time, from 1 to `MAX_CONNECTIONS`.
        trusted: whether its word on commits and digests counts alone; ``None`` leaves it to the kind.
        ids: a repository's name at the Hub to its name there, where it differs.
    """

    url: str
    kind: str = "hub"
    token: str = field(default="", repr=False)
    token_file: str = ""
    weight: float = 1.0
    connections: int = DEFAULT_CONNECTIONS
    trusted: bool | None = None
    ids: Mapping[str, str] = field(default_factory=dict, hash=False)


def is_file(text: str) -> bool:
    """Whether the value of ``LAUNCHER_MIRRORS`` names a file and no list."""
    return text.endswith(".toml") and "://" not in text


def parse_list(text: str) -> tuple[MirrorEntry | str, ...]:
    """The entries of a list, separated by commas or spaces: words of `BUILT_IN_WORDS`, and addresses with options.

    Raises:
        BadValue: naming the entry and the fix.
    """
    found: list[MirrorEntry | str] = []
    for part in filter(None, re.split(r"[,\s]+", text)):
        if part.lower() in BUILT_IN_WORDS:
            found.append(part.lower())
            continue
        address, *options = part.split(";")
        values: dict[str, Any] = {"url": address}
        for option in filter(None, options):
            name, separator, value = option.partition("=")
            if not separator:
                raise BadValue(f"holds the option {name!r} without a value.", _EXAMPLE)
            values[name.strip().lower()] = value.strip()
        if "token" in values:
            raise BadValue(
                "holds a token, which every listing of the settings would show.",
                "Put it into a file and write token_file=PATH, or use a mirrors file.",
            )
        found.append(entry(values))
    urls = [one.url for one in found if isinstance(one, MirrorEntry)]
    for url in urls:
        if urls.count(url) > 1:
            raise BadValue(f"lists {url} twice.", "Remove one of them.")
    return tuple(found)


def mirrors(text: str) -> str:
    """The parser of ``LAUNCHER_MIRRORS``: a list that `parse_list` takes, or the path of a file, as it stands."""
    if not is_file(text):
        parse_list(text)
    return text


def entry(values: Mapping[str, Any]) -> MirrorEntry:
    """One mirror from its options; numbers and switches may be text.

    Raises:
        BadValue: naming the option and the fix.
    """
    known = ("url", *_OPTIONS, "token", "ids")
    unknown = next((name for name in values if name not in known), None)
    if unknown is not None:
        raise BadValue(f"has the option {unknown!r}, which there is not.", f"Use {', '.join(known)}.")
    url = normal_url(_text(values, "url"))
    kind = _text(values, "kind") or "hub"
    if kind not in KINDS:
        raise BadValue(f"gives {url} the kind {kind!r}.", f"Use {', '.join(KINDS[:-1])} or {KINDS[-1]}.")
    token, token_file = _text(values, "token"), _text(values, "token_file")
    if token and token_file:
        raise BadValue(f"gives {url} a token and a token_file.", "Keep one of them.")
    if token:
        plain_secret(token)
    return MirrorEntry(
        url,
        kind,
        token,
        token_file,
        _number(url, "weight", values.get("weight", 1.0), (0.01, 100.0)),
        int(_number(url, "connections", values.get("connections", DEFAULT_CONNECTIONS), (1, MAX_CONNECTIONS))),
        _switch(url, values.get("trusted")),
        _ids(url, values.get("ids", {})),
    )


def normal_url(text: str) -> str:
    """The address of a mirror in the one form in which addresses are compared.

    Raises:
        BadValue: when it is none, or holds a user name, password, query or fragment.
    """
    try:
        checked = endpoint(text)
    except BadValue as bad:
        shown = "" if "@" in text else f"holds {text!r:.80}, which "
        if not shown:
            raise BadValue(
                bad.problem, "Remove user name and password; a token belongs into token_file=PATH."
            ) from None
        raise BadValue(f"{shown}{bad.problem}", "Write it as https://mirror.example.org, without query.") from None
    parts = urlsplit(checked)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return urlunsplit((parts.scheme, f"{host}{port}", parts.path.rstrip("/"), "", ""))


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name, "")
    if not isinstance(value, str):
        raise BadValue(f"has the option {name} that is no text.", f'Write {name} = "..." in quotes.')
    return value.strip()


def _number(url: str, name: str, value: object, limits: tuple[float, float]) -> float:
    low, high = limits
    whole = isinstance(low, int)
    fix = f"Use a {'whole ' if whole else ''}number from {low:g} to {high:g}."
    shown = f"gives {url} {name}={value!r}, which is not from {low:g} to {high:g}."
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else float("nan")
    except ValueError:
        raise BadValue(shown, fix) from None
    if not low <= number <= high or (whole and number != int(number)):
        raise BadValue(shown, fix)
    return number


def _switch(url: str, value: object) -> bool | None:
    words = {"yes": True, "true": True, "no": False, "false": False}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise BadValue(f"gives {url} trusted={value!r}.", "Use yes or no.")


def _ids(url: str, value: object) -> Mapping[str, str]:
    usable = isinstance(value, Mapping) and all(
        isinstance(one, str) and _REPO_ID.fullmatch(one) for pair in value.items() for one in pair
    )
    if not isinstance(value, Mapping) or not usable:
        raise BadValue(f"gives {url} ids that are no names.", 'Write ids = {"org/name" = "org/name-there"}.')
    return dict(value)
