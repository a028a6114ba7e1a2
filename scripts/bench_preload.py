"""Loading IndexTTS-2, all sides in one run: upstream's constructor and ours, cold and warm files, and a crash's repair.

    python scripts/bench_preload.py --python ENGINE_PYTHON --make /tmp/weights      # writes 8 GB first
    python scripts/bench_preload.py --python ENGINE_PYTHON /tmp/weights --device cuda:0

ENGINE_PYTHON has indextts2-inference (`tts-launcher engine install indextts2`). Each side is a process of its own.
Cold: the weights are dropped from the page cache before (the interpreter's own files are not). Printed: seconds by
stage, how many times upstream's, memory, and the distance to the floor (imports, and reading all bytes once).
Invariant: a run in which one tensor or one sample differs from upstream's ends with exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402 - after the path, like what follows

from scripts.bench_preload_side import weight_files  # noqa: E402

SIDE = ROOT / "scripts" / "bench_preload_side.py"
#: Only for waiting; a cold start from a slow disk takes minutes.
PATIENCE_S = 900.0


def run_side(python: str, mode: str, hub: Path, *options: str) -> dict[str, Any]:
    """Runs one side and returns its figures, with ``wall_s`` from outside."""
    started = time.perf_counter()
    done = subprocess.run(
        [python, str(SIDE), mode, str(hub), *options], check=False, capture_output=True, text=True, timeout=PATIENCE_S
    )
    wall_s = time.perf_counter() - started
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise SystemExit(f"{mode} failed:\n{done.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return {**figures, "wall_s": wall_s}


def drop(files: Sequence[Path]) -> None:
    """Drops files from the page cache."""
    os.sync()  # a page that is not on the disk yet stays
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def read_all(files: Sequence[Path], threads: int = 4) -> float:
    """Seconds for reading every byte of the files once, as fast as ``threads`` readers can."""
    piece_bytes = 16 << 20
    pieces = iter([(path, start) for path in files for start in range(0, path.stat().st_size, piece_bytes)])
    lock = threading.Lock()

    def read() -> None:
        buffer = bytearray(piece_bytes)
        while True:
            with lock:
                piece = next(pieces, None)
            if piece is None:
                return
            descriptor = os.open(piece[0], os.O_RDONLY)
            os.preadv(descriptor, [buffer], piece[1])
            os.close(descriptor)

    started = time.perf_counter()
    readers = [threading.Thread(target=read) for _ in range(threads)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return time.perf_counter() - started


@contextlib.contextmanager
def engine_process(python: str, hub: Path, device: str, folder: Path) -> Iterator[tuple[httpx.Client, float]]:
    """The launcher's own engine process with the engine of full size; yields its HTTP and when it was started."""
    from tests.engine.processes import ControlListener

    control = ControlListener()
    address = folder / "engine.sock"
    settings = {
        "instance": "bench",
        "engine": "indextts2",
        "address": f"unix:{address}",
        "control_address": control.address,
        "cache_dir": str(folder),
        "device": device,
    }
    environment = {**os.environ, "HF_HUB_CACHE": str(hub), "LAUNCHER_INSTANCE_MARK": f"bench:{os.getpid()}"}
    with (folder / "engine.log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "webui.engine.worker"], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stderr=log
        )
    assert process.stdin is not None
    started = time.perf_counter()
    process.stdin.write(json.dumps(settings).encode() + b"\n")
    process.stdin.flush()
    client = httpx.Client(transport=httpx.HTTPTransport(uds=str(address)), base_url="http://engine", timeout=60)
    try:
        yield client, started
    finally:
        client.close()
        process.stdin.close()
        process.wait(60)
        control.close()


def health(client: httpx.Client) -> dict[str, Any]:
    """The engine's state; empty while it does not answer."""
    with contextlib.suppress(httpx.TransportError):
        return dict(client.get("/health").json())
    return {}


def wait_ready(client: httpx.Client, log: Path, other_than: int = 0) -> int:
    """Waits until an engine serves whose pid is not ``other_than``; returns its pid."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        state = health(client)
        if state.get("state") == "ready" and state["pid"] != other_than:
            return int(state["pid"])
        if state.get("state") == "failed":
            break
        time.sleep(0.02)
    raise SystemExit(f"the engine did not become ready:\n{log.read_text()[-3000:]}")


def crash_and_return(python: str, hub: Path, device: str) -> dict[str, float]:
    """Seconds of the launcher's own start, and from a crash of its engine until the next one serves."""
    with tempfile.TemporaryDirectory(prefix="tts-") as name:
        folder = Path(name)
        log = folder / "engine.log"
        with engine_process(python, hub, device, folder) as (client, started):
            pid = wait_ready(client, log)
            first_s = time.perf_counter() - started
            while "the next one is forked" not in log.read_text():
                time.sleep(0.1)
            returns = []
            for _ in range(3):
                crashed = time.perf_counter()
                os.kill(pid, signal.SIGSEGV)
                pid = wait_ready(client, log, other_than=pid)
                returns.append(time.perf_counter() - crashed)
            return {"start_s": first_s, "return_s": sorted(returns)[1]}


def differences(ours: dict[str, Any], upstream: dict[str, Any]) -> list[str]:
    """Tensors that differ, and the speech if that does."""
    mine, theirs = ours["digests"], upstream["digests"]
    names = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
    return names + (["speech"] if ours.get("speech") != upstream.get("speech") else [])


def measure(python: str, hub: Path, device: str, *, speech: bool) -> dict[str, Any]:
    """Every side, one after the other."""
    on = ("--device", device)
    compared = ("--hash", "--speak") if speech else ("--hash",)
    files = weight_files(hub, qwen=False)
    everything = weight_files(hub, qwen=True)
    results: dict[str, Any] = {}
    run_side(python, "preload", hub, *on)  # not counted: compiles Python files, builds upstream's text grammars
    for name, mode, dropped in (
        ("upstream, cold", "upstream", True),
        ("preload, cold", "preload", True),
    ):
        if dropped:
            drop(everything)
        results[name] = run_side(python, mode, hub, *on)
        note(name, results[name])
    drop(everything)
    results["read_cold_s"] = read_all(files)
    read_all(everything)
    results["read_warm_s"] = read_all(files)
    results["bytes"] = sum(path.stat().st_size for path in files)
    for name, mode, more in (
        ("upstream", "upstream", compared),
        ("preload", "preload", compared),
        ("preload, emotion model at once", "preload", ("--eager-qwen",)),
    ):
        results[name] = run_side(python, mode, hub, *on, *more)
        note(name, results[name])
    results["process"] = crash_and_return(python, hub, device)
    results["different"] = differences(results["preload"], results["upstream"])
    results["tensors"] = len(results["upstream"].pop("digests"))
    del results["preload"]["digests"]
    return results


def note(name: str, figures: dict[str, Any]) -> None:
    """One line on standard error while it runs."""
    sys.stderr.write(f"{name}: {figures['construct_s']:.1f} s built, {figures['ready_s']:.1f} s from process start\n")


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "| side | imports | constructor | processor time of it | bytes touched | from process start | anonymous |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in ("upstream, cold", "preload, cold", "upstream", "preload", "preload, emotion model at once"):
        row = results[name]
        times = " | ".join(f"{row[key]:.2f} s" for key in COLUMNS)
        lines.append(f"| {name} | {times} | {row['anonymous_mb']:.0f} MB |")
    upstream, ours, process = results["upstream"], results["preload"], results["process"]
    floor_s = ours["imports_s"] + results["read_warm_s"]
    cold_floor_s = max(ours["imports_s"], results["read_cold_s"])
    lines += [
        "",
        "| ratio | value |",
        "| --- | --- |",
        f"| constructor, warm | {upstream['construct_s'] / ours['construct_s']:.1f}x |",
        f"| constructor's processor time, warm | {upstream['construct_cpu_s'] / ours['construct_cpu_s']:.1f}x |",
        "| constructor and every byte touched, warm | "
        f"{_weights(upstream) / _weights(ours):.1f}x ({_weights(upstream):.1f} s / {_weights(ours):.1f} s) |",
        f"| the same, emotion model at once | {_weights(upstream) / _weights(results[EAGER]):.1f}x |",
        f"| whole from process start, warm | {upstream['ready_s'] / ours['ready_s']:.1f}x |",
        f"| whole from process start, cold | "
        f"{results['upstream, cold']['ready_s'] / results['preload, cold']['ready_s']:.1f}x |",
        f"| the launcher's engine process until it serves, warm | {process['start_s']:.1f} s |",
        f"| crash until the next engine serves | {process['return_s']:.2f} s, "
        f"{upstream['ready_s'] / process['return_s']:.1f}x a start of upstream's |",
        f"| anonymous memory | {ours['anonymous_mb'] / upstream['anonymous_mb']:.2f}x |",
        f"| whole to floor, warm (imports + reading {results['bytes'] / 1e9:.2f} GB in "
        f"{results['read_warm_s']:.1f} s) | {ours['ready_s'] / floor_s:.2f}x |",
        f"| whole to floor, cold (the longer of imports and reading in {results['read_cold_s']:.1f} s) | "
        f"{results['preload, cold']['ready_s'] / cold_floor_s:.2f}x |",
        f"| tensors compared, different | {results['tensors']}, {len(results['different'])} |",
    ]
    if "speech" in ours:
        verdict = "different" if "speech" in results["different"] else "equal"
        lines.append(f"| seeded speech | {ours['speech'].split()[0]} samples, {verdict} |")
    if "pinned_copy_s" in ours:
        ratio = ours["construct_s"] / ours["pinned_copy_s"]
        lines.append(f"| constructor to a pinned copy of the same size | {ratio:.2f}x |")
    return "\n".join(lines)


COLUMNS = ("imports_s", "construct_s", "construct_cpu_s", "touch_s", "ready_s")
EAGER = "preload, emotion model at once"


def _weights(row: dict[str, Any]) -> float:
    return float(row["construct_s"] + row["touch_s"])


def main() -> int:
    """Measures and prints; 1 when something differs from upstream's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the weights are, or are made")
    parser.add_argument("--python", required=True, help="interpreter that has indextts2-inference")
    parser.add_argument("--make", action="store_true", help="write weights of full size first, random, 8 GB")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda:N")
    parser.add_argument(
        "--no-speech", action="store_true", help="compare tensors only; a processor takes minutes to speak"
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    given = parser.parse_args()
    hub = given.folder / "hub"
    if given.make:
        subprocess.run([given.python, str(ROOT / "scripts" / "bench_preload_files.py"), str(hub)], check=True)
    results = measure(given.python, hub, given.device, speech=not given.no_speech)
    print(json.dumps(results, indent=1) if given.json else table(results))
    for name in results["different"]:
        print(f"different: {name}", file=sys.stderr)
    return 1 if results["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
