"""Fetching one file, all sides in one run: ours from 1, 2 and 3 mirrors, huggingface_hub, aria2c, curl + sha256sum.

    python scripts/bench_fetch.py --size-mb 200 --rate-mb 5
    python scripts/bench_fetch.py --size-mb 500 --rate-mb 0          # as fast as it goes

Each side is a process of its own with an empty cache; the mirrors are test hubs on 127.0.0.1, .2 and .3, each in its
own process. Printed: seconds, how many times huggingface_hub's time, CPU seconds and peak memory of the side alone.
Invariant: a side counts only when its file has the right sha256.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.servers.repos import GeneratedFile, repo_file  # noqa: E402 - found beside this folder

REPO = "org/model"
FILE = "model.bin"


@dataclass(frozen=True)
class Result:
    """One side's figures; ``peak_mb`` is resident memory."""

    side: str
    seconds: float
    cpu_s: float
    peak_mb: float
    right: bool


@contextlib.contextmanager
def mirrors(count: int, size_bytes: int, rate_mb: float) -> Iterator[list[str]]:
    """Hubs, each a process; yields their addresses."""
    with contextlib.ExitStack() as stack:
        urls = []
        for number in range(1, count + 1):
            command = [sys.executable, "-u", "-m", "tests.servers.hub", "--host", f"127.0.0.{number}"]
            command += ["--repo", f"{REPO}={FILE}:{size_bytes}"]
            if rate_mb:
                command += ["--throttle", f"{rate_mb}MB"]
            log = stack.enter_context(tempfile.TemporaryFile("w+"))
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
            assert process.stdout is not None
            first = process.stdout.readline()
            urls.append(next(word for word in first.split() if word.startswith("http")))
            # One line for each request: read, or the pipe fills up.
            drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
            stack.callback(_end, process, drain)
        yield urls


def _end(process: subprocess.Popen[str], drain: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
    drain.wait()


def measure(side: str, command: Sequence[str], found: str, sha256: str, environ: dict[str, str]) -> Result:
    """Runs one side in an empty folder and looks at what it made.

    Args:
        side: its name.
        command: ``{}`` stands for the folder.
        found: pattern of the file that it makes, below the folder.
        sha256: what the file must be.
        environ: on top of this process's environment.
    """
    with tempfile.TemporaryDirectory() as folder:
        filled = [part.replace("{}", folder) for part in command]
        names = {name: text.replace("{}", folder) for name, text in environ.items()}
        started = time.perf_counter()
        process = subprocess.Popen(
            filled, cwd=folder, env={**os.environ, **names}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        err = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        made = next(iter(Path(folder).glob(found)), None)
        right = process.returncode == 0 and made is not None and _sha256(made) == sha256
        if not right:
            sys.stderr.write(f"{side}: {err.decode(errors='replace')[-600:]}\n")
    return Result(side, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, right)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sides(urls: list[str], sha256: str) -> Iterator[tuple[str, list[str], str, dict[str, str]]]:
    """Every side: its name, its command, what it makes, its environment."""
    for count in range(1, len(urls) + 1):
        environ = {"LAUNCHER_MIRRORS": ",".join(urls[:count]), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "launcher", "fetch", REPO, "--data-dir", "{}"]
        yield f"launcher, {count} mirror(s) x 8", command, "cache/huggingface/hub/*/blobs/*", environ
    code = f"from huggingface_hub import snapshot_download as s; s({REPO!r})"
    environ = {"HF_ENDPOINT": urls[0], "HF_HUB_CACHE": "{}/hub", "HF_HUB_DISABLE_XET": "1"}
    yield "huggingface_hub", [sys.executable, "-c", code], "hub/models--*/blobs/*", environ
    places = [f"{url}/{REPO}/resolve/main/{FILE}" for url in urls]
    if shutil.which("aria2c"):
        for count in range(1, len(urls) + 1):
            options = f"-q -x8 -s{8 * count} -k1M --file-allocation=none --checksum=sha-256={sha256} -d {{}} -o {FILE}"
            command = ["aria2c", *options.split(), *places[:count]]
            yield f"aria2c --checksum, {count} x 8", command, FILE, {}
    if shutil.which("curl"):
        line = f"curl -sfL -o {FILE} {places[0]} && sha256sum {FILE}"
        yield "curl + sha256sum", ["sh", "-c", line], FILE, {}


def main() -> int:
    """Runs every side once and prints a table, or JSON."""
    parser = argparse.ArgumentParser(description="Compare ways to fetch one file.")
    parser.add_argument("--size-mb", type=float, default=200, help="size of the file, in 10^6 bytes")
    parser.add_argument("--rate-mb", type=float, default=5, help="10^6 bytes per second and connection; 0 for no limit")
    parser.add_argument("--mirrors", type=int, default=3, choices=(1, 2, 3))
    parser.add_argument("--only", default="", help="only sides whose name holds this text")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    size = int(chosen.size_mb * 1e6)
    sha256 = repo_file(FILE, GeneratedFile(size)).sha256
    with mirrors(chosen.mirrors, size, chosen.rate_mb) as urls:
        results = [measure(*one[:3], sha256, one[3]) for one in sides(urls, sha256) if chosen.only in one[0]]
    if chosen.json:
        print(json.dumps({"size_bytes": size, "rate_mb": chosen.rate_mb, "results": [asdict(one) for one in results]}))
    else:
        base = next((one.seconds for one in results if one.side == "huggingface_hub"), None)
        print(f"{'side':<28}{'seconds':>9}{'times hf':>10}{'CPU s':>8}{'peak MB':>9}")
        for one in results:
            ratio = f"{base / one.seconds:.1f}" if base else ""
            wrong = "" if one.right else "  WRONG"
            print(f"{one.side:<28}{one.seconds:>9.2f}{ratio:>10}{one.cpu_s:>8.2f}{one.peak_mb:>9.0f}{wrong}")
    return 0 if all(one.right for one in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
