"""From looks and counts to text: pure parts, a real process tree, and a driver that a small module plays."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from launcher.alarms.duty import Instance
from launcher.alarms.events import Event
from launcher.alarms.names import GPU_LOAD_RATIO, METRICS, MIRROR_TIMEOUTS_TOTAL, STARTED_SECONDS
from launcher.config import load
from launcher.engines.gpu_load import GpuLoad, GpuWatch
from launcher.errors import ConfigError
from launcher.metrics.exposition import family, to_text
from launcher.metrics.families import families
from launcher.metrics.figures import Figures, write_textfile
from launcher.metrics.sampling import History, Sample, Sampler
from launcher.metrics.tally import Tally

SNAPSHOT: dict[str, Any] = {
    "started_at": 1000.5,
    "stages": [
        {"name": "page", "state": "done", "elapsed_s": 2.5},
        {"name": "engine", "state": "running", "elapsed_s": 61.0},
    ],
    "components": {
        "page": {"state": "ready", "restarts": 0},
        "engine": {"state": "starting", "restarts": 2, "info": {"name": "kokoro"}},
    },
    "warnings": [{"message": "It loads.", "fix": "", "code": "engine_load_slow"}],
}


def parsed(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Name and label values to number, read by Prometheus's own client."""
    return {
        (one.name, tuple(one.labels.values())): one.value
        for found in text_string_to_metric_families(text)
        for one in found.samples
    }


def test_the_text_says_what_was_put_in_whatever_labels_hold() -> None:
    odd = 'a "path"\\with\nlines'
    text = to_text([family(MIRROR_TIMEOUTS_TOTAL, {odd: 3, "b": 0.25}), family(STARTED_SECONDS, 12.0)])
    assert parsed(text) == {
        ("tts_mirror_timeouts_total", (odd,)): 3.0,
        ("tts_mirror_timeouts_total", ("b",)): 0.25,
        ("tts_started_timestamp_seconds", ()): 12.0,
    }
    assert to_text([family(GPU_LOAD_RATIO, {})]) == ""


def test_every_metric_is_told_once_something_is_known() -> None:
    gpu = GpuLoad(0, "Card", 30, 100, 20, 0.5)
    sample = Sample(0.0, {"engine": 7}, {"engine": 1.5}, (gpu,), {"/data": (85, 100)}, {"/data/hub": 5})
    tally = Tally(0.0)
    tally.take_load("kokoro", {"stage": "load", "unit": "bytes", "total": 92.0})
    tally.take_progress("weights 1", {"hosts": [{"name": "hf-mirror.com", "done": 10.0}]})
    kinds = ("mirror_timeout", "verify_failure")
    tally.take_events([Event(1.0, kind, subject) for kind, subject in zip(kinds, ("http://m", "org/a"), strict=True)])
    found = parsed(to_text(families(SNAPSHOT, sample, tally)))
    assert {name for name, _ in found} == {metric.name for metric in METRICS}
    assert found["tts_engine_load_seconds", ("kokoro",)] == 61.0
    assert found["tts_cache_disk_used_ratio", ("/data",)] == 0.85
    assert found["tts_alarm_active", ("engine_load_slow",)] == 1.0
    assert found["tts_alarm_active", ("verify_failures",)] == 0.0
    assert found["tts_restarts_total", ("engine",)] == 2.0
    assert found["tts_gpu_load_ratio", ("0",)] == 0.5


def test_counts_never_fall_and_count_nothing_twice() -> None:
    tally = Tally(began=100.0)
    old, first, second = (
        Event(at, "mirror_timeout", "https://user:secret@m.example:8443/x") for at in (99, 101, 101.5)
    )
    tally.take_events([old, first])
    tally.take_events([first, second])  # the file's older half may have gone meanwhile
    tally.take_events([second])
    tally.take_events([])  # it could not be read
    tally.take_events([second, second])
    assert tally.timeouts == {"m.example:8443": 2}
    ahead, behind = (Event(at, "mirror_timeout", "https://n.example") for at in (9_000_000.0, 50.0))
    tally.take_events([second, ahead])  # by a clock that is wrong
    tally.take_events([second, ahead, Event(102.0, "mirror_timeout", "https://n.example"), behind])
    assert tally.timeouts == {"m.example:8443": 2, "n.example": 3}
    for done in (100.0, 250.0, 40.0, 50.0):  # the second repository begins at nothing
        tally.take_progress("weights 7", {"hosts": [{"name": "m", "done": done}]})
    tally.take_progress("weights 8", {"hosts": [{"name": "m", "done": 1.0}]})
    tally.take_progress("weights 8", None)
    assert tally.fetched_bytes == {"m": 301.0}
    tally.take_load("kokoro", {"stage": "fetch", "unit": "bytes", "total": 9.0})
    tally.take_load("kokoro", {"stage": "load", "unit": "steps", "total": 9.0})
    assert tally.load_bytes == {}


def test_a_look_sees_processes_disks_and_models(tmp_path: Path) -> None:
    blobs = tmp_path / "cache" / "huggingface" / "hub" / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "one").write_bytes(b"x" * 1000)
    (blobs / "lent").symlink_to(blobs / "one")
    config = load({"LAUNCHER_DATA_DIR": str(tmp_path)}, None, {})
    # A child of a child counts, too: an engine's fork server holds the weights in a process of its own.
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as child:
        try:
            sampler = Sampler(config, usage=lambda path: (1, 4))
            snapshot = {"pid": os.getpid(), "components": {"engine": {"pid": child.pid}, "page": {"pid": None}}}
            deadline = time.monotonic() + 30
            before = sampler.look(snapshot)
            while sampler.look(snapshot).resident_bytes["engine"] < 1.5 * before.resident_bytes["engine"]:
                assert time.monotonic() < deadline, "the grandchild is not seen"
                time.sleep(0.05)
            sample = sampler.look(snapshot)
        finally:
            os.killpg(child.pid, 9)
    assert set(sample.resident_bytes) == {"supervisor", "engine"} and sample.cpu_s["supervisor"] > 0
    assert set(sample.disks.values()) == {(1, 4)}
    assert list(sample.cache_bytes.values()) == [1000]
    gone = sampler.look({"pid": None, "components": {"engine": {"pid": child.pid}}})
    assert gone.resident_bytes == {}


def test_one_disk_is_looked_at_once_so_that_its_paths_agree(tmp_path: Path) -> None:
    """It may be written meanwhile: two looks would show it as two disks."""
    written = iter(range(1, 100))
    sampler = Sampler(load({"LAUNCHER_DATA_DIR": str(tmp_path)}, None, {}), usage=lambda path: (next(written), 100))
    disks = sampler.look({"pid": None, "components": {}}).disks
    assert len(disks) == 2 and set(disks.values()) == {(1, 100)}


def test_the_last_hour_is_columns_of_equal_length() -> None:
    history = History(size=3)
    for at in range(5):
        gpus = (GpuLoad(0, "Card", at, 100, 0, None),) if at > 3 else ()
        names = {"page": at} if at < 4 else {"page": at, "engine": 9}
        history.add(Sample(float(at), names, {"page": at * 0.5}, gpus))
    data = history.to_json()
    assert data["at"] == [2.0, 3.0, 4.0]
    assert data["resident_bytes"] == {"page": [2, 3, 4], "engine": [0, 0, 9]}
    assert data["cpu"] == [0.0, 0.5, 0.5]
    assert data["gpus"][0]["used_bytes"] == [0, 0, 4] and data["gpus"][0]["load"] == [None, None, None]


class Driver:
    """What is used of NVIDIA's library."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.asked = 0

    def nvmlInit(self) -> None:  # noqa: N802 - the library's name
        self.asked += 1
        if not self.there:
            raise self.NVMLError

    def __getattr__(self, name: str) -> Any:
        answers: dict[str, Any] = {
            "nvmlDeviceGetCount": 2,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=30, total=100),
            "nvmlDeviceGetName": b"Card",
            "nvmlDeviceGetComputeRunningProcesses": [
                SimpleNamespace(pid=1, usedGpuMemory=20),
                SimpleNamespace(pid=2, usedGpuMemory=None),
                SimpleNamespace(pid=3, usedGpuMemory=5),
            ],
        }

        def answer(*_: Any) -> Any:
            if name == "nvmlDeviceGetUtilizationRates":
                raise self.NVMLError
            return answers[name]

        return answer


def test_gpus_are_read_and_a_missing_driver_is_asked_once() -> None:
    found = GpuWatch(Driver()).read({1, 2})
    assert found == (GpuLoad(0, "Card", 30, 100, 20, None), GpuLoad(1, "Card", 30, 100, 20, None))
    driver = Driver(there=False)
    watch = GpuWatch(driver)
    assert watch.read() == () and watch.read() == () and driver.asked == 1


def test_the_textfile_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tts.prom"
    write_textfile(path, "tts_a 1\n")
    write_textfile(path, "tts_a 2\n")
    assert path.read_text() == "tts_a 2\n" and [one.name for one in path.parent.iterdir()] == ["tts.prom"]
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OSError):
        write_textfile(blocked / "tts.prom", "")


def test_a_textfile_that_cannot_be_written_is_logged_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    setting = {"LAUNCHER_DATA_DIR": str(tmp_path), "LAUNCHER_METRICS_TEXTFILE": str(tmp_path / "file" / "tts.prom")}
    snapshot = {**SNAPSHOT, "pid": os.getpid()}
    log, turns, looked = list[str](), list[Callable[[], None]](), threading.Semaphore(0)
    instance = Instance(
        lambda _wait_s, work: turns.append(work), lambda _work: looked.release(), lambda: snapshot, lambda _alarms: None
    )
    Figures(instance, load(setting, None, {}), log.append)
    for count in range(1, 4):
        while any(thread.name == "metrics" for thread in threading.enumerate()):
            time.sleep(0.01)  # a look that still runs would let this turn do nothing
        turns.pop(0)()
        assert looked.acquire(timeout=60), count
    assert len(log) == 1 and "LAUNCHER_METRICS_TEXTFILE" in log[0] and str(tmp_path) in log[0]


def test_the_textfile_has_the_ending_that_the_collector_reads(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"end in \.prom"):
        load({"LAUNCHER_DATA_DIR": str(tmp_path), "LAUNCHER_METRICS_TEXTFILE": "/tmp/tts.txt"}, None, {})


@pytest.mark.parametrize("value", ["tts.prom", "~/tts.prom"])
def test_the_textfile_is_a_setting(tmp_path: Path, value: str) -> None:
    config = load({"LAUNCHER_DATA_DIR": str(tmp_path), "LAUNCHER_METRICS_TEXTFILE": value}, None, {})
    assert Path(config.metrics_textfile).is_absolute()
