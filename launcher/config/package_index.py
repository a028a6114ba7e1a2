"""Where Python packages for the engines come from, as people write it: words for known places, or addresses.

Invariants: nothing is looked up here; an address keeps its user name and password, which no message repeats.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from launcher.config.parsers import BadValue

#: Places that carry the whole of PyPI; what they serve is checked against the lock's hashes.
KNOWN_INDEXES = {
    "pypi": "https://pypi.org/simple",
    "tuna": "https://pypi.tuna.tsinghua.edu.cn/simple",
    "aliyun": "https://mirrors.aliyun.com/pypi/simple",
}
#: Asks the known ones and takes the quickest first.
FASTEST = "fastest"
_SCHEMES = ("https", "http", "file")


def parse_indexes(text: str) -> tuple[str, ...]:
    """The words and addresses of a list, separated by commas or spaces.

    Raises:
        BadValue: naming what is wrong and what to write.
    """
    words = ", ".join((*KNOWN_INDEXES, FASTEST))
    found = []
    for part in filter(None, re.split(r"[,\s]+", text)):
        if part.lower() == FASTEST or part.lower() in KNOWN_INDEXES:
            found.append(part.lower())
        elif _is_address(part):
            found.append(part.rstrip("/"))
        else:
            raise BadValue("is not a package index.", f"Use {words}, or an address such as https://host/simple.")
    return tuple(dict.fromkeys(found))


def indexes(text: str) -> str:
    """The parser of ``LAUNCHER_PACKAGE_INDEX``: a list that `parse_indexes` takes, as it stands."""
    parse_indexes(text)
    return text


def torch_index(text: str) -> str:
    """An address below which each build of torch has a folder of its own (``cpu``, ``cu128``...)."""
    if not _is_address(text):
        raise BadValue("is not an address.", "Write it as https://download.pytorch.org/whl, without the build's name.")
    return text.rstrip("/")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) if parts.scheme != "file" else bool(parts.path)
        return parts.scheme in _SCHEMES and named and not parts.query and not parts.fragment and parts.port != 0
    except ValueError:
        return False
