"""From the text of one setting to its value.

Invariants: every parser takes stripped, non-empty text without control characters and either returns the value or
raises `BadValue` with what is wrong and what to write instead; no parser repeats a secret; nothing is looked up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from launcher.access.hosts import LOOPBACK_NAMES

Parser = Callable[[str], object]

#: A token protects a machine from its network; 16 characters of base64 hold 96 bits, more than anyone can try.
MIN_TOKEN_CHARS = 16
#: Fewer different characters than this is a pattern ("aaaa...", "1212..."), not a secret.
MIN_TOKEN_DISTINCT_CHARS = 6
#: Linux ends at 4096 bytes for a path and 255 for a name in it; below the data folder paths have up to 300 more.
MAX_PATH_BYTES = 3700
MAKE_TOKEN = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(24))"'

_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "k": 2**10,
    "m": 2**20,
    "g": 2**30,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_HOST_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_MODEL = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*(@[^:]+)?(:.+)?)?", re.ASCII)
_GPU = re.compile(r"\d+|-1|GPU-[0-9a-fA-F-]+|MIG-[0-9a-zA-Z/-]+", re.ASCII)
#: ``socks`` is what GNOME writes.
_PROXY_SCHEMES = ("http", "https", "socks", "socks4", "socks4a", "socks5", "socks5h")


class BadValue(ValueError):  # noqa: N818 - it says what the value is
    """A value that a setting may not have.

    Args:
        problem: continues "NAME=VALUE ...", for example "is not a whole number.".
        fix: one sentence: what to write instead.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


def text(value: str) -> str:
    """Any text."""
    return value


def whole_number(low: int, high: int) -> Parser:
    """A parser for whole numbers from ``low`` to ``high``."""

    def parse(value: str) -> int:
        fix = f"Use a whole number from {low} to {high}."
        if not re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
            raise BadValue("is not a whole number.", fix)
        number = int(value)
        if not low <= number <= high:
            raise BadValue(f"is not from {low} to {high}.", fix)
        return number

    return parse


def seconds(low: float, high: float) -> Parser:
    """A parser for seconds from ``low`` to ``high``; fractions are allowed."""

    def parse(value: str) -> float:
        fix = f"Use a number of seconds from {low:g} to {high:g}."
        if not re.fullmatch(r"[+-]?(\d{1,12}(\.\d*)?|\.\d+)", value, re.ASCII):
            raise BadValue("is not a number.", fix)
        number = float(value)
        if not low <= number <= high:
            raise BadValue(f"is not from {low:g} to {high:g}.", fix)
        return number

    return parse


def size_bytes(low: int, high: int) -> Parser:
    """A parser for sizes from ``low`` to ``high`` bytes: ``500000``, ``10MB`` (10^6), ``32MiB`` or ``32M`` (2^20)."""

    def parse(value: str) -> int:
        found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)", value.lower(), re.ASCII)
        unit = _SIZE_UNITS.get(found[2]) if found else None
        if found is None or unit is None:
            raise BadValue("is not a size.", "Write it as 500000, 10MB or 32MiB.")
        size = int(float(found[1]) * unit)
        if not low <= size <= high:
            raise BadValue(f"is not from {low} to {high} bytes.", f"Use a size from {low} to {high} bytes.")
        return size

    return parse


def choice(*words: str) -> Parser:
    """A parser for one of ``words``, whatever the case."""

    def parse(value: str) -> str:
        word = value.lower()
        if word not in words:
            raise BadValue("is not one of its values.", f"Use {', '.join(words[:-1])} or {words[-1]}.")
        return word

    return parse


def port(value: str) -> int:
    """A TCP port; ``auto`` is 0: any free one, 7860 preferred."""
    if value.lower() == "auto":
        return 0
    if not re.fullmatch(r"\d{1,5}", value, re.ASCII) or not 1 <= int(value) <= 65535:
        raise BadValue("is not a port.", "Use a number from 1 to 65535, or auto for a free one.")
    return int(value)


def instance(value: str) -> str:
    """The name of an instance: a folder's name on every system."""
    if not re.fullmatch(r"(?!(?:con|prn|aux|nul|com\d|lpt\d)$)[a-z0-9][a-z0-9_-]{0,31}", value, re.ASCII):
        raise BadValue(
            "is not a name for an instance.", "Use 1 to 32 lower-case letters, digits, - or _, a letter or digit first."
        )
    return value


def engine(value: str) -> str:
    """``auto`` or the name of an engine; whether there is such an engine is known when it starts."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", value, re.ASCII):
        raise BadValue("is not the name of an engine.", "Use auto, or a name such as kokoro.")
    return value


def app(value: str) -> str:
    """``builtin`` or the name of a profile; whether there is such a profile is known when it starts."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", value, re.ASCII):
        raise BadValue(
            "is not the name of an app.", "Use builtin, index-tts, heygem, or what `tts-launcher apps ls` shows."
        )
    return value


def models(value: str) -> tuple[str, ...]:
    """Names of models or ``org/name[@revision][:patterns]``, separated by spaces."""
    found = tuple(dict.fromkeys(value.split()))
    for name in found:
        if _MODEL.fullmatch(name) is None:
            raise BadValue(
                f"names {name!r:.80}, which is no model.", "Write a catalog's name or org/name[@revision][:patterns]."
            )
    return found


def device(value: str) -> str:
    """``auto``, ``cpu`` or ``cuda:N``; ``cuda`` means ``cuda:0``."""
    word = value.lower()
    if word == "cuda":
        return "cuda:0"
    if word not in ("auto", "cpu") and not re.fullmatch(r"cuda:\d{1,3}", word, re.ASCII):
        raise BadValue("is not a device.", "Use auto, cpu, or cuda:0 for the first GPU.")
    return word


def gpu_numbers(value: str) -> tuple[int, ...]:
    """Numbers of GPUs, separated by commas."""
    words = [word.strip() for word in value.split(",")]
    if not all(re.fullmatch(r"\d{1,3}", word, re.ASCII) for word in words) or len(set(map(int, words))) < len(words):
        raise BadValue("is no list of different GPUs.", "Write their numbers with commas between, such as 0,1.")
    return tuple(map(int, words))


def host(value: str) -> str:
    """An address or name to listen on, without port and brackets."""
    name = value.lower()
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    if not _is_host(name):
        raise BadValue(
            "is not an address or host name.",
            "Use 127.0.0.1 for this machine only, or an address of this machine; the port belongs into LAUNCHER_PORT.",
        )
    return name


def is_loopback(name: str) -> bool:
    """Whether a host that `host` accepted can be reached from this machine only."""
    if name in LOOPBACK_NAMES:
        return True
    if ":" not in name and not name[0].isdigit():
        return False
    from ipaddress import IPv6Address, ip_address

    try:
        address = ip_address(name)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def allowed_hosts(value: str) -> tuple[str, ...]:
    """Names and addresses, separated by commas, that a request's Host header may carry; ``*`` allows any."""
    names: list[str] = []
    for part in filter(None, (piece.strip().lower() for piece in value.split(","))):
        name = part[1:-1] if part.startswith("[") and part.endswith("]") else part
        if name != "*" and not _is_host(name):
            raise BadValue(
                f"names {part!r:.80}, which is not a host.", "List names without port: tts.example.org,10.0.0.5"
            )
        names.append(name)
    return tuple(dict.fromkeys(names))


def _is_host(name: str) -> bool:
    if ":" in name or name.rpartition(".")[2].isdigit():
        from ipaddress import ip_address

        try:
            ip_address(name)
        except ValueError:
            return False
        return True
    labels = name.removesuffix(".").split(".")
    return len(name) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in labels)


def token(value: str) -> str:
    """The secret of the page: long, printable ASCII without spaces, because it travels in a header and a cookie."""
    if not re.fullmatch(r"[!-~]+", value, re.ASCII):
        raise BadValue("holds a space or a character that is not ASCII.", MAKE_TOKEN)
    if len(value) < MIN_TOKEN_CHARS:
        raise BadValue(f"has {len(value)} characters, fewer than {MIN_TOKEN_CHARS}.", MAKE_TOKEN)
    if len(set(value)) < MIN_TOKEN_DISTINCT_CHARS:
        raise BadValue("repeats a few characters and can be guessed.", MAKE_TOKEN)
    return value


def users(value: str) -> tuple[str, ...]:
    """``name:token`` of each user, separated by commas."""
    found: dict[str, str] = {}
    for number, part in enumerate((piece.strip() for piece in value.split(",")), 1):
        name, _, secret = part.partition(":")
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", name, re.ASCII) or name == "token":
            raise BadValue(f"has no usable name in entry {number}.", "Write it as alice:TOKEN,bob:TOKEN, lower case.")
        if name in found or secret in found.values():
            raise BadValue(f"repeats a name or a token in entry {number}.", "Give each user one of their own.")
        try:
            found[name] = token(secret)
        except BadValue as bad:
            raise BadValue(f"has a bad token for {name}: it {bad.problem}", bad.fix) from None
    return tuple(f"{name}:{secret}" for name, secret in found.items())


def networks(value: str) -> tuple[str, ...]:
    """Addresses and networks, separated by commas."""
    from ipaddress import ip_network

    names = tuple(dict.fromkeys(filter(None, (piece.strip() for piece in value.split(",")))))
    for name in names:
        try:
            ip_network(name, strict=False)
        except ValueError:
            raise BadValue(f"names {name!r:.80}, which is no address.", "Write it as 127.0.0.1,10.0.0.0/8.") from None
    return names


def ending(suffix: str) -> Parser:
    """A parser for paths whose name ends in ``suffix``."""

    def parse(value: str) -> str:
        if not value.endswith(suffix) or Path(value).name == suffix:
            raise BadValue(f"does not end in {suffix}.", f"Give the path of a file whose name ends in {suffix}.")
        return value

    return parse


def plain_secret(value: str) -> str:
    """A secret that somebody else issued: printable ASCII without spaces."""
    if not re.fullmatch(r"[!-~]+", value, re.ASCII):
        raise BadValue("holds a space or a character that is not ASCII.", "Copy it again, without quotes around it.")
    return value


def addresses(value: str) -> tuple[str, ...]:
    """Addresses with a scheme, separated by spaces; they may hold passwords."""
    found = tuple(value.split())
    for number, one in enumerate(found, 1):
        if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", one):
            raise BadValue(f"has no scheme in address {number}.", "Write it as json://host/path or mailto://...")
    return found


def root_path(value: str) -> str:
    """The path under which a reverse proxy shows the page; ``/`` is the same as none."""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/?|/", value, re.ASCII) or {".", ".."} & set(value.split("/")):
        raise BadValue("is not a path.", "Write it as /tts, the same as in the reverse proxy.")
    return value.rstrip("/")


def absolute_path(value: str, base: Path) -> str:
    """``value`` with ``~`` replaced, relative to ``base`` when it is not absolute.

    Raises:
        BadValue: when ``~`` names nobody's home, no file system takes such a path, or not every library can open it.
    """
    path = os.path.expanduser(value)  # noqa: PTH111 - Path.expanduser raises where this leaves the ~
    if path.startswith("~"):
        raise BadValue("starts with ~, but there is no such home folder.", "Write the whole path.")
    path = os.path.normpath(base / path)
    if len(os.fsencode(path)) > MAX_PATH_BYTES or any(len(os.fsencode(part)) > 255 for part in Path(path).parts):
        raise BadValue("is too long for a path.", "Use a shorter one.")
    try:
        path.encode()
    except UnicodeEncodeError:
        fix = "Rename that folder or use another one: the libraries that load models cannot open it."
        raise BadValue("is a path that is no Unicode.", fix) from None
    return path


def endpoint(value: str) -> str:
    """The address of a Hub; a slash at its end is dropped."""
    fix = "Write it as https://huggingface.co, without user name, password or query."
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and _is_host((parts.hostname or "-").lower())
        usable = usable and (parts.port is None or parts.port > 0)
    except ValueError:
        raise BadValue("is not an http or https address.", fix) from None
    if parts.username is not None or parts.password is not None:
        raise BadValue("holds a user name or password.", "Remove it; a token belongs into HF_TOKEN.")
    if not usable or parts.query or parts.fragment or " " in value:
        raise BadValue("is not an http or https address.", fix)
    return value.rstrip("/")


def proxy(value: str) -> str:
    """The address of a proxy, with or without scheme and credentials."""
    scheme, separator, rest = value.partition("://")
    address = rest if separator else scheme
    try:
        parts = urlsplit(f"//{address}")
        usable = _is_host((parts.hostname or "-").lower()) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or (separator and scheme.lower() not in _PROXY_SCHEMES) or " " in value:
        raise BadValue("is not the address of a proxy.", "Write it as http://host:port or socks5://host:port.")
    return value


def gpus(value: str) -> str:
    """CUDA's list of visible GPUs: indices or UUIDs, separated by commas."""
    if not all(_GPU.fullmatch(part.strip()) for part in value.split(",")):
        raise BadValue("is not a list of GPUs.", "Use indices such as 0 or 0,1, UUIDs as nvidia-smi -L shows, or -1.")
    return value
