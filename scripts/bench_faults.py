"""Every way in which a mirror fails, and what becomes of a fetch: ours from three mirrors of which the first is faulty,
ours and huggingface_hub's from the faulty one alone, all in one run.

    python scripts/bench_faults.py --markdown > table.md
    python scripts/bench_faults.py --only "wrong bytes" --only drip --bound-s 30

Each side is a process of its own with an empty cache and the settings that its users get; the mirrors are test hubs
on 127.0.0.1, .2 and .3, throttled per connection. Printed: seconds, bytes that the mirrors sent over the size of the
files, and the outcome: right bytes, an error (nothing wrong is visible), WRONG BYTES (a file under its final name that
is not what the Hub lists), or hung (stopped after the bound).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from launcher.hub.receipts import sha256_of  # noqa: E402 - found beside this folder
from tests.servers.hub import Faults, GeneratedFile, HubServer, Repo  # noqa: E402

NAME = "org/model"
BIG = "model.bin"
SIDES = ("launcher, 1 of 3 faulty", "launcher, only mirror", "huggingface_hub, only mirror")


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """The address of a host that takes no connection and refuses none, as behind a firewall that drops packets."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.9", 0), backlog=0))
        for _ in range(4):  # a full queue drops whoever comes later
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.9:{listener.getsockname()[1]}"


def faults(size_bytes: int, nowhere: str) -> dict[str, Faults]:
    """Every fault by its name; the big file has ``size_bytes``, and ``nowhere`` never answers."""
    half = size_bytes // 2
    return {
        "none": Faults(),
        "connection reset once, half way": Faults(reset_after_bytes=half, path=BIG, first_requests=1),
        "every body reset after 2 MB": Faults(reset_after_bytes=2_000_000, path=BIG),
        "every body cut after 2 MB": Faults(cut_after_bytes=2_000_000, path=BIG),
        "cut after 2 MB, no ranges": Faults(cut_after_bytes=2_000_000, no_range=True, path=BIG),
        "no ranges": Faults(no_range=True),
        "answers with another range": Faults(wrong_range=True),
        "all bytes wrong": Faults(wrong_bytes=True),
        "one byte flipped": Faults(flip_byte_at=half, path=BIG),
        "one byte flipped, once": Faults(flip_byte_at=half, path=BIG, first_requests=1),
        "Content-Length too short": Faults(short_by_bytes=1000, path=BIG),
        "too short, no sizes named": Faults(short_by_bytes=1000, path=BIG, missing_headers=("size",)),
        "no X-Repo-Commit": Faults(missing_headers=("commit",)),
        "no ETag": Faults(missing_headers=("etag",)),
        "no sizes": Faults(missing_headers=("size",)),
        "headers name another digest": Faults(wrong_etag=True),
        "list and headers name another digest": Faults(wrong_digest=True),
        "stale main": Faults(stale=True),
        "429 with Retry-After, thrice": Faults(too_many=("body",), retry_after_s=1, first_requests=3),
        "429 for ever": Faults(too_many=("head", "body"), retry_after_s=3600),
        "503 of the API": Faults(unavailable=("api",)),
        "503 when a file is located": Faults(unavailable=("head",)),
        "503 of the body": Faults(unavailable=("body",)),
        "503 of every third body": Faults(unavailable=("body",), every=3),
        "API stalls": Faults(stall=("api",)),
        "locating a file stalls": Faults(stall=("head",)),
        "body stalls half way": Faults(stall=("body",), stall_after_bytes=half, path=BIG),
        "body drips, 1 kB/s": Faults(drip_bytes_per_s=1000, path=BIG),
        "308 to a host that never answers": Faults(redirect_to=nowhere),
        "308 to a host that refuses": Faults(redirect_to="http://127.0.0.9:9"),
        "location expires after one request": Faults(expire_after_requests=1),
        "every location has expired": Faults(expire_after_requests=0),
        "one file is not there": Faults(not_found=True, path=BIG),
        "listing in pages of one": Faults(page_size=1),
        "Xet offered, its host never answers": Faults(xet_cas_url=nowhere),
    }


@dataclass(frozen=True)
class Result:
    """What became of one fetch; ``moved`` is in sizes of the repository."""

    fault: str
    side: str
    seconds: float
    moved: float
    outcome: str
    told: str


def command(side: str, urls: Sequence[str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """A side's command and environment."""
    cache = str(folder / "hub")
    if side.startswith("launcher"):
        environ = {"LAUNCHER_MIRRORS": ",".join(urls), "HF_HUB_CACHE": cache, "PYTHONPATH": str(ROOT)}
        return [sys.executable, "-m", "launcher", "fetch", NAME, "--data-dir", str(folder / "data")], environ
    code = f"from huggingface_hub import snapshot_download as s; s({NAME!r})"
    return [sys.executable, "-c", code], {"HF_ENDPOINT": urls[0], "HF_HUB_CACHE": cache}


def visible(cache: Path) -> dict[str, str]:
    """Path to sha256 of every file under its final name."""
    found = {}
    for snapshot in cache.glob("models--*/snapshots/*"):
        for path in sorted(snapshot.rglob("*")):
            if path.is_file():
                found[path.relative_to(snapshot).as_posix()] = sha256_of(path)
    return found


def judge(cache: Path, repo: Repo, code: int | None) -> str:
    """The outcome by what is visible afterwards; ``code`` is ``None`` for one that had to be stopped."""
    right = {path: file.sha256 for path, file in repo.files.items()}
    older = {path: file.sha256 for path, file in repo.previous.files.items()}
    found = visible(cache)
    wrong = [path for path, sha256 in found.items() if sha256 not in (right.get(path), older.get(path))]
    if wrong:
        return f"WRONG BYTES ({', '.join(wrong)})"
    if code is None:
        return "hung"
    if code:
        return "error"
    if all(found.get(path) == sha256 for path, sha256 in right.items()):
        return "right bytes"
    return "the commit before" if all(found.get(path) == sha256 for path, sha256 in older.items()) else "incomplete"


def measure(name: str, side: str, fault: Faults, repo: Repo, options: argparse.Namespace) -> Result:
    """Runs one side against one fault."""
    count = 3 if "of 3" in side else 1
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [
            stack.enter_context(
                HubServer(
                    {NAME: repo},
                    host=f"127.0.0.{number}",
                    faults=fault if number == 1 else Faults(),
                    throttle_bytes_per_s=options.rate_mb * 1e6,
                )
            )
            for number in range(1, count + 1)
        ]
        argv, environ = command(side, [server.url for server in servers], folder)
        started = time.monotonic()
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, "HOME": str(folder), **environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            code: int | None = None
            _, err = process.communicate(timeout=options.bound_s)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, err = process.communicate()
        seconds = time.monotonic() - started
        moved = sum(server.bytes_sent() for server in servers) / repo.size
        outcome = judge(folder / "hub", repo, code)
        lines = [line for line in err.splitlines() if line.strip()]
        shutil.rmtree(folder / "hub", ignore_errors=True)
    return Result(name, side, seconds, moved, outcome, lines[-1][:300] if lines and code else "")


def tell(result: Result, options: argparse.Namespace) -> None:
    """One line as soon as a side has ended."""
    if not options.json:
        figures = f"{result.seconds:>7.1f} s {result.moved:>6.2f}x"
        line = f"{result.fault:<38}{result.side:<30}{figures}  {result.outcome} {result.told}"
        print(line, file=sys.stderr if options.markdown else sys.stdout, flush=True)


def cell(result: Result, bound_s: float) -> str:
    """A result in one cell of the table."""
    if result.outcome == "hung":
        return f"**hung** > {bound_s:g} s"
    outcome = f"**{result.outcome}**" if result.outcome.startswith("WRONG") else result.outcome
    return f"{outcome}, {result.seconds:.1f} s, {result.moved:.2f}x"


def table(results: Sequence[Result], bound_s: float) -> str:
    """The results as Markdown, a row for each fault."""
    by_fault: dict[str, dict[str, Result]] = {}
    for one in results:
        by_fault.setdefault(one.fault, {})[one.side] = one
    rows = [("fault", *SIDES), ("---",) * (1 + len(SIDES))]
    for name, found in by_fault.items():
        rows.append((name, *(cell(found[side], bound_s) if side in found else "" for side in SIDES)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def chosen_faults(known: Mapping[str, Faults], only: Sequence[str]) -> Mapping[str, Faults]:
    """Those whose name holds one of the texts; all without one."""
    return {name: fault for name, fault in known.items() if not only or any(text in name for text in only)}


def main() -> int:
    """Runs every side against every fault; the exit code says whether ours was ever wrong or hung."""
    parser = argparse.ArgumentParser(description="Compare what becomes of a fetch when a mirror fails.")
    parser.add_argument("--size-mb", type=float, default=30, help="size of the large file, in 10^6 bytes")
    parser.add_argument("--rate-mb", type=float, default=5, help="10^6 bytes per second and connection")
    parser.add_argument("--bound-s", type=float, default=120, help="a side that takes longer is stopped")
    parser.add_argument("--only", action="append", default=[], help="only faults with this in their name")
    parser.add_argument("--side", action="append", default=[], help="only sides with this in their name")
    parser.add_argument("--markdown", action="store_true", help="print the table alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    size = int(options.size_mb * 1e6)
    repo = Repo({"config.json": b"{}", "voices/a.bin": b"voice" * 999, BIG: GeneratedFile(size, 7)})
    results = []
    with black_hole() as nowhere:
        for name, fault in chosen_faults(faults(size, nowhere), options.only).items():
            for side in SIDES:
                if not options.side or any(text in side for text in options.side):
                    results.append(measure(name, side, fault, repo, options))
                    tell(results[-1], options)
    if options.json:
        print(json.dumps([asdict(one) for one in results], indent=1))
    else:
        print(table(results, options.bound_s))
    bad = [one for one in results if one.side.startswith("launcher") and one.outcome.split()[0] in ("WRONG", "hung")]
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
