"""The test hub as a command: ``python -m tests.servers.hub --repo org/name=FOLDER --throttle 5MB``.

Invariants: it prints its address as the first line and then one line for each request; Ctrl-C or SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import ast
import re
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from tests.servers.faults import Faults
from tests.servers.hub import HubServer
from tests.servers.repos import Content, GeneratedFile, Repo, folder_contents

_UNITS = {
    "": 1,
    "K": 1000,
    "KB": 1000,
    "KIB": 1 << 10,
    "M": 10**6,
    "MB": 10**6,
    "MIB": 1 << 20,
    "G": 10**9,
    "GB": 10**9,
}
_GENERATED = re.compile(r"(?P<path>[^:@]+):(?P<size>[\d.]+[A-Za-z]*)(?:@(?P<seed>\d+))?")


def _size_bytes(text: str) -> int:
    found = re.fullmatch(r"([\d.]+)\s*([A-Za-z]*)", text)
    if found is None or found[2].upper() not in _UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 500000, 5MB or 8MiB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _repo(text: str) -> tuple[str, Repo]:
    name, separator, source = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r}: write org/name=FOLDER or org/name=model.bin:1GB,config.json:2KB")
    folder = Path(source)
    if folder.is_dir():
        return name, Repo(folder_contents(folder))
    files: dict[str, Content] = {}
    for part in source.split(","):
        found = _GENERATED.fullmatch(part)
        if found is None:
            raise argparse.ArgumentTypeError(f"{part!r} is neither a folder nor PATH:SIZE[@SEED]")
        files[found["path"]] = GeneratedFile(_size_bytes(found["size"]), int(found["seed"] or 0))
    return name, Repo(files)


def _fault(text: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    name = name.replace("-", "_")
    known = [field.name for field in fields(Faults)]
    if name not in known:
        raise argparse.ArgumentTypeError(f"{name!r} is no fault; there are {', '.join(known)}")
    if not separator:
        return name, True
    if name in ("stall", "unavailable", "too_many", "redirected", "missing_headers"):
        return name, tuple(value.split(","))
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.hub", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--repo",
        action="append",
        required=True,
        type=_repo,
        metavar="ORG/NAME=SOURCE",
        help="a folder, or files made up: model.bin:1GB@SEED,config.json:2KB; may be repeated",
    )
    parser.add_argument("--host", default="127.0.0.1", help="such as 127.0.0.2 (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--throttle", type=_size_bytes, metavar="BYTES", help="per second and connection, such as 5MB")
    parser.add_argument("--token", default="", help="visitors must send it")
    parser.add_argument("--origin-host", default="", help="another address for the origin of large files")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        type=_fault,
        metavar="NAME[=VALUE]",
        help="a switch of tests/servers/faults.py: cut_after_bytes=500000, stall=head,body, stale; may be repeated",
    )
    return parser


def _report(hub: HubServer, shown: set[int]) -> None:
    """Prints the requests that were answered since ``shown``, which it adds to."""
    for number, request in enumerate(hub.seen()):
        if request.status and number not in shown:
            shown.add(number)
            print(f"{request.status} {request.method} {request.path}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is told to stop; returns the exit code."""
    given = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    faults = Faults(**dict(given.fault))
    hub = HubServer(
        dict(given.repo),
        host=given.host,
        port=given.port,
        faults=faults,
        throttle_bytes_per_s=given.throttle,
        token=given.token,
        origin_host=given.origin_host,
    )
    with hub:
        print(hub.url, flush=True)
        for name, repo in given.repo:
            print(f"{name} {repo.commit} {len(repo.files)} files {repo.size} bytes", file=sys.stderr)
        shown: set[int] = set()
        while not stop.wait(0.2):
            _report(hub, shown)
        _report(hub, shown)
        print(f"{hub.count()} requests, {hub.bytes_sent()} bytes", file=sys.stderr)
    return 0
