"""Faults around a start, a fetch and a disk: each in an instance and a folder of its own.

Invariant: what a scenario mounts or starts is gone when it returns.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.scenarios import SETTINGS, Bench, Outcome
from tests.faults.tones import expected_pcm, speak, speak_as_clients_do, tone_settings, tones
from tests.mounting import fill as fill_disk
from tests.servers.hub import Faults, GeneratedFile, HubServer, Repo
from tests.system.running import ROOT, Running, http

NAME = "org/tiny"
MODEL_BYTES = 12_000_000


def disk_full(folder: Path) -> Outcome:
    """The disk that holds everything fills up while people speak, and is freed again."""
    with own_disk(folder / "data", "48M"), tones(folder, settings=SETTINGS) as instance:
        bench = Bench(instance, folder / "data")
        filler = folder / "data" / "filler"
        refused: list[str] = []

        def fill() -> None:
            fill_disk(filler)
            preset = {"name": "one more", "state": {"request": {"text": "word " * 3000}}}
            status, _, body = http(f"{bench.url}/api/presets", preset)
            refused.append(f"a preset is answered {status} {_sentence(body)}")
            time.sleep(2)
            filler.unlink()

        outcome = bench.break_it("disk of 48 MB full for 2 s while people speak and store", fill)
        return _also(outcome, refused[0])


def start_read_only(folder: Path) -> Outcome:
    """A start on a disk that cannot be written."""
    with own_disk(folder / "data", "8M") as remount:
        remount("ro")
        done = _launcher(folder, "start", "--port", "auto", "--no-open")
        remount("rw")
    assert done.returncode not in (0, 1) and "Traceback" not in done.stderr, done.stderr
    return Outcome("start on a read-only data folder", _last_line(done.stderr), 0.0, 0, 0)


def port_stolen(folder: Path) -> Outcome:
    """Somebody else listens on the port."""
    with socket.create_server(("127.0.0.1", 0)) as thief:
        port = thief.getsockname()[1]
        done = _launcher(folder, "start", "--port", str(port), "--no-open")
    assert done.returncode == 3, done.stderr
    seen = _last_line(done.stderr).replace(str(port), "N").replace(f"pid {os.getpid()}", "pid M")
    seen = re.sub(r"\(python .*?, owner \w+\)", "(its command line, its owner)", seen)
    return Outcome("start on a port that another program holds", seen, 0.0, 0, 0)


def double_start(folder: Path) -> Outcome:
    """Two starts at the same moment."""
    settings = tone_settings(folder)
    began = time.monotonic()
    both = [Running(folder / "data", "faults", settings=settings) for _ in range(2)]
    try:
        _wait(lambda: any(each.process.poll() is not None for each in both), "the second one's end")
        loser = next(each for each in both if each.process.poll() is not None)
        winner = next(each for each in both if each is not loser)
        winner.wait_ready()
        winner.wait_ready_for_clients()
        assert speak_as_clients_do(winner.url, "one").body == expected_pcm("one")
        return Outcome(
            "two starts at once",
            f"one runs; the other one shows its address and ends with {loser.process.returncode}",
            round(time.monotonic() - began, 2),
            0,
            0,
        )
    finally:
        for each in both:
            each.stop()


def corrupt_state(folder: Path) -> Outcome:
    """Every small file that an instance keeps is damaged while it is stopped."""
    settings = {**SETTINGS}
    with tones(folder, settings=settings) as instance:
        kept = Bench(instance, folder / "data")
        assert not kept.data_lost()
    root = folder / "data" / "instances" / "faults"
    for name in ("run.json", "lock", "start_times.json"):
        (root / name).write_bytes(b"\x00\xff{not json")
    (folder / "data" / "seen.json").write_text("[")
    (root / "logs" / "launcher.log").write_bytes(b"\xff\xfe\x00" * 1000)
    began = time.monotonic()
    with tones(folder, settings=settings) as instance:
        kept.instance, kept.url = instance, instance.url
        assert speak(instance.url, "one two").body == expected_pcm("one two")
        took = round(time.monotonic() - began, 2)
        return Outcome("run file, lock, start times, log: garbage", "a usual start", took, 0, 0, kept.data_lost())


def killed_fetch(folder: Path) -> Outcome:
    """The process that brings the weights dies in the middle."""

    def kill(instance: Running, _hub: HubServer) -> None:
        pid = instance.snapshot()["components"]["weights"]["pid"]
        os.kill(int(pid), signal.SIGKILL)

    return _while_fetching(folder, "kill -9 of the process that fetches the weights", kill)


def network_gone(folder: Path) -> Outcome:
    """The only mirror goes away in the middle of a fetch and comes back."""

    def vanish(_instance: Running, hub: HubServer) -> None:
        hub.close()

    return _while_fetching(folder, "the only mirror gone for 3 s in the middle of a fetch", vanish, returns=True)


def mirror_lies(folder: Path) -> Outcome:
    """The only mirror serves other bytes than it lists."""
    repo = _repo()
    with HubServer({NAME: repo}, faults=Faults(wrong_bytes=True, path="model.bin")) as hub:
        done = _launcher(folder, "fetch", NAME, LAUNCHER_MIRRORS=hub.url)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    found = list((folder / "data").rglob("snapshots/*/model.bin"))
    return Outcome("the only mirror serves wrong bytes", _last_line(done.stderr), 0.0, 0, len(found))


def disk_full_fetch(folder: Path) -> Outcome:
    """A fetch of more than the disk can hold."""
    with own_disk(folder / "data", "8M"), HubServer({NAME: _repo()}) as hub:
        done = _launcher(folder, "fetch", NAME, LAUNCHER_MIRRORS=hub.url)
        found = list((folder / "data").rglob("snapshots/*/model.bin"))
    assert done.returncode != 0 and "Traceback" not in done.stderr
    return Outcome("fetch of 12 MB onto a disk of 8 MB", _last_line(done.stderr), 0.0, 0, len(found))


def _repo() -> Repo:
    return Repo({"config.json": b"{}", "model.bin": GeneratedFile(MODEL_BYTES, seed=9)})


def _while_fetching(
    folder: Path, done: str, act: Callable[[Running, HubServer], None], *, returns: bool = False
) -> Outcome:
    """A start that fetches slowly, and something that happens to it half way."""
    hub = HubServer({NAME: _repo()}, throttle_bytes_per_s=100_000)
    hub.__enter__()
    port = int(hub.url.rpartition(":")[2])
    settings = {**tone_settings(folder), **SETTINGS, "LAUNCHER_MODELS": NAME, "LAUNCHER_MIRRORS": hub.url}
    instance = Running(folder / "data", "faults", settings=settings)
    try:
        instance.wait(lambda now: _fetched(now) > MODEL_BYTES / 3, "a third of the weights")
        began = time.monotonic()
        act(instance, hub)
        if returns:
            time.sleep(3)
            hub = HubServer({NAME: _repo()}, port=port)
            hub.__enter__()
        instance.wait_ready()
        instance.wait_ready_for_clients()
        assert speak_as_clients_do(instance.url, "one").body == expected_pcm("one")
        took = round(time.monotonic() - began, 2)
        [model] = (folder / "data").rglob("snapshots/*/model.bin")
        whole = "" if model.stat().st_size == MODEL_BYTES else "the model"
        return Outcome(done, "the page stays; the fetch goes on where it was", took, 0, 0, whole)
    finally:
        instance.stop()
        hub.close()


def _fetched(snapshot: dict[str, object]) -> float:
    progress = snapshot["components"].get("weights", {}).get("progress")  # type: ignore[attr-defined]
    return float(progress["done"]) if progress and progress["unit"] == "bytes" else 0.0


@contextlib.contextmanager
def own_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A small file system at ``folder``; gives a function that mounts it anew with an option. Needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)

    def remount(option: str) -> None:
        # Open files keep a tmpfs from becoming read-only; a bind mount's own flag does not ask them.
        if option == "ro":
            subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        else:
            subprocess.run(["mount", "-o", "remount,bind,rw", str(folder)], check=True)

    try:
        yield remount
    finally:
        while os.path.ismount(folder):
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _launcher(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command to its end, in an environment of its own."""
    environment = {**os.environ, "LAUNCHER_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT), **settings}
    command = [sys.executable, "-m", "launcher", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def _last_line(text: str) -> str:
    lines = [line.removeprefix("Error: ") for line in text.splitlines() if line.startswith("Error: ")]
    return " ".join(lines) or text.strip().splitlines()[-1]


def _sentence(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
        return json.dumps(str(error["message"] if isinstance(error, dict) else error))
    except (ValueError, KeyError, TypeError):
        return body[:100].decode(errors="replace")


def _also(outcome: Outcome, words: str) -> Outcome:
    from dataclasses import replace

    return replace(outcome, seen=f"{outcome.seen}; {words}")


def _wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


#: Those that need a file system of their own, which only root may mount.
NEED_MOUNT: tuple[Callable[[Path], Outcome], ...] = (disk_full, start_read_only, disk_full_fetch)
STARTS: tuple[Callable[[Path], Outcome], ...] = (
    port_stolen,
    double_start,
    corrupt_state,
    killed_fetch,
    network_gone,
    mirror_lies,
)
