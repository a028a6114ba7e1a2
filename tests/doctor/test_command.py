"""``doctor`` as people run it: every line, its fix, what --fix mends, the exit code."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.doctor.examination import CHECKS
from launcher.process.facts import MARK_VARIABLE, new_mark
from launcher.process.runfile import RunFile, RunRecord
from tests import ports

ROOT = Path(__file__).parents[2]
CODES = {"ok": 0, "warning": 1, "failed": 2}


def doctor(
    *arguments: str, cwd: Path, prefix: tuple[str, ...] = (), **environ: str
) -> subprocess.CompletedProcess[str]:
    base = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    base |= {"PYTHONPATH": str(ROOT), "LAUNCHER_DATA_DIR": str(cwd / "data"), "PYTHONUTF8": "1", "HOME": str(cwd)}
    command = [*prefix, sys.executable, "-m", "launcher", "doctor", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=base | environ, capture_output=True, text=True, encoding="utf-8", timeout=90, check=False
    )


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    data = json.loads(done.stdout)
    found = {one["check"]: one for one in data["findings"]}
    assert done.returncode == max(CODES[one["state"]] for one in found.values())
    assert all(one["fix"] for one in found.values() if one["state"] != "ok"), "each problem needs its fix"
    return found


@pytest.fixture
def free_port() -> str:
    return str(ports.free_port())


def test_every_check_has_its_line(tmp_path: Path, free_port: str) -> None:
    done = doctor("--json", "--offline", cwd=tmp_path, LAUNCHER_PORT=free_port)
    found = findings(done)
    assert list(found) == ["Settings", *CHECKS, "Mirrors", "Time"]
    for name in ("Settings", "Caches", "Port", "Leftovers", "Logs", "Clock", "ffmpeg", "Mirrors"):
        assert found[name]["state"] == "ok", found[name]
    assert "kokoro" in found["Engine"]["detail"] and free_port in found["Port"]["detail"]
    assert not (tmp_path / "data").exists(), "looking makes nothing"

    text = doctor("--offline", cwd=tmp_path, LAUNCHER_PORT=free_port).stdout
    for name in found:
        assert any(line.split()[1:2] == name.split()[:1] for line in text.splitlines() if line), name


def test_a_wrong_setting_is_one_line_of_many(tmp_path: Path) -> None:
    done = doctor("--json", "--offline", cwd=tmp_path, LAUNCHER_PORT="many")
    found = findings(done)
    assert done.returncode == 2 and "LAUNCHER_PORT" in found["Settings"]["detail"]
    assert found["Python"]["detail"], "the other checks run all the same"


def test_the_port_belongs_to_somebody_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = findings(doctor("--json", "--offline", cwd=tmp_path, LAUNCHER_PORT=port))
    assert found["Port"]["state"] == "failed" and f"pid {os.getpid()}" in found["Port"]["detail"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = findings(doctor("--json", "--offline", cwd=tmp_path, HF_HUB_CACHE=str(tmp_path / "file" / "hub")))
    assert found["Caches"]["state"] == "failed" and "HF_HUB_CACHE" in found["Caches"]["detail"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="Linux has it")
def test_caches_in_memory_are_noticed(tmp_path: Path) -> None:
    found = findings(doctor("--json", "--offline", cwd=tmp_path, LAUNCHER_DATA_DIR="/dev/shm/tts-none/data"))
    assert found["Persistence"]["state"] == "warning" and "memory" in found["Persistence"]["detail"]


def record(data_dir: Path, mark: str) -> RunRecord:
    return RunRecord(
        instance="default",
        mark=mark,
        supervisor_pid=2**22 + 5,
        supervisor_created_at=1.0,
        host="127.0.0.1",
        port=1,
        url="http://127.0.0.1:1",
        control_address="unix:/nowhere",
        control_token="",
        token="",
        started_at=1.0,
        version="0",
        log_dir=str(data_dir),
    )


def test_fix_clears_up_after_a_crash(tmp_path: Path, free_port: str) -> None:
    data = tmp_path / "data"
    folder = data / "instances" / "default"
    (folder / "logs").mkdir(parents=True)
    mark = new_mark("default", str(data))
    RunFile(folder / "run.json", folder / "run.lock").write(record(data, mark))
    surplus = folder / "logs" / "launcher.log.9"
    surplus.write_text("old\n")
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(300)"], env={**os.environ, MARK_VARIABLE: mark}
    )
    try:
        found = findings(doctor("--json", "--offline", cwd=tmp_path, LAUNCHER_PORT=free_port))
        assert found["Leftovers"]["state"] == "warning" and f"pid {sleeper.pid}" in found["Leftovers"]["detail"]
        assert found["Logs"]["state"] == "warning" and found["Logs"]["fixable"]
        assert surplus.exists() and sleeper.poll() is None, "nothing changes without --fix"

        mended = findings(doctor("--json", "--offline", "--fix", cwd=tmp_path, LAUNCHER_PORT=free_port))
        assert mended["Leftovers"]["state"] == "ok" and "ended 1" in mended["Leftovers"]["mended"]
        assert mended["Logs"]["state"] == "ok" and not surplus.exists()
        assert sleeper.wait(20) != 0 and not (folder / "run.json").exists()
        assert mended["Caches"]["mended"] and (data / "cache" / "huggingface" / "hub").is_dir()
    finally:
        with contextlib.suppress(psutil.Error):
            sleeper.kill()
        sleeper.wait()


def test_few_files_may_be_open(tmp_path: Path) -> None:
    prefix = ("bash", "-c", 'ulimit -Sn 200; exec "$@"', "limited")
    found = findings(doctor("--json", "--offline", cwd=tmp_path, prefix=prefix))
    assert found["File limits"]["state"] == "warning" and "ulimit" in found["File limits"]["fix"]


@pytest.mark.skipif(sys.platform != "linux", reason="systemd")
def test_an_autostart_that_leads_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "systemd" / "user"
    folder.mkdir(parents=True)
    (folder / "other.service").write_text("[Service]\nExecStart=/bin/true\n")
    (folder / "voice.service").write_text('[Service]\nExecStart=-"/gone/my bin/python" "-m" "launcher" "start"\n')
    found = findings(doctor("--json", "--offline", cwd=tmp_path))
    assert found["Autostart"]["state"] == "warning"
    assert "voice.service" in found["Autostart"]["detail"] and "/gone/my bin/python" in found["Autostart"]["detail"]


@contextlib.contextmanager
def clock(ahead_s: float) -> Iterator[str]:
    """A mirror whose clock differs from ours."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(time.time() + ahead_s)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_mirrors_and_the_time_they_tell(tmp_path: Path, free_port: str) -> None:
    with clock(0) as right, clock(0) as second:
        found = findings(doctor("--json", cwd=tmp_path, LAUNCHER_MIRRORS=f"{right},{second}"))
        assert found["Mirrors"]["state"] == "ok" and found["Time"]["state"] == "ok"
        lonely = findings(doctor("--json", cwd=tmp_path, LAUNCHER_MIRRORS=f"{right},http://127.0.0.1:{free_port}"))
        assert lonely["Mirrors"]["state"] == "warning" and free_port in lonely["Mirrors"]["detail"]
    nobody = findings(doctor("--json", cwd=tmp_path, LAUNCHER_MIRRORS=f"http://127.0.0.1:{free_port}"))
    assert nobody["Mirrors"]["state"] == "failed"
    with clock(3600) as wrong:
        found = findings(doctor("--json", cwd=tmp_path, LAUNCHER_MIRRORS=wrong))
        assert found["Time"]["state"] == "failed" and "60 min behind" in found["Time"]["detail"]
    offline = findings(doctor("--json", cwd=tmp_path, LAUNCHER_MIRRORS="http://127.0.0.1:1", LAUNCHER_OFFLINE="yes"))
    assert offline["Mirrors"]["state"] == "ok" and "offline" in offline["Mirrors"]["detail"]
