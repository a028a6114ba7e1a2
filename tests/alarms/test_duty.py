"""The watch over a running instance: in the status, told once, never in the loop's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from launcher.alarms.duty import Duty, Instance
from launcher.alarms.names import Alarm
from launcher.alarms.telling import send, teller
from launcher.errors import LauncherError
from launcher.process.loop import Loop
from launcher.process.snapshot import Status

FULL = Alarm("cache_disk_nearly_full", "The disk is 90 % full.", "Free some space.")
FULLER = Alarm("cache_disk_nearly_full", "The disk is 91 % full.", "Free some space.")
SLOW = Alarm("engine_load_slow", "The engine took 99 s to load.", "See: doctor.")


class Watched:
    """A loop with a status, and a duty that finds what ``found`` holds."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.status = Status(
            instance="i", version="v", url="u", host="h", port=1, pid=1, clock=time.monotonic, wall_clock=time.time
        )
        self.found: list[Alarm] = []
        self.told: list[list[str]] = []
        self.now = 0.0
        self.looks = 0
        instance = Instance(self.loop.call_later, self.loop.call_from_thread, self.status.snapshot, self.show)
        self.look: Callable[[], None] = lambda: None
        self.duty = Duty(instance, self._look, self._tell, first_s=0.0, interval_s=0.005, clock=lambda: self.now)

    def show(self, alarms: Sequence[dict[str, str]]) -> None:
        self.status.alarms = list(alarms)

    def _look(self, snapshot: dict[str, Any]) -> list[Alarm]:
        assert snapshot["instance"] == "i" and threading.current_thread() is not threading.main_thread()
        self.looks += 1
        self.look()
        return list(self.found)

    def _tell(self, alarms: Sequence[Alarm]) -> None:
        self.told.append([one.code for one in alarms])

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "it does not come"
            self.loop.run_once(0.05)

    def settle(self) -> None:
        """Until what is found now has been judged."""
        looks = self.looks
        self.until(lambda: self.looks >= looks + 3)

    @property
    def shown(self) -> list[str]:
        return [one["message"] for one in self.status.snapshot()["warnings"]]


def test_alarms_come_and_go_in_the_status() -> None:
    watched = Watched()
    watched.status.warnings.append({"message": "An older warning.", "fix": ""})
    watched.found = [FULL]
    watched.until(lambda: FULL.message in watched.shown)
    watched.found = [FULLER, SLOW]
    watched.until(lambda: SLOW.message in watched.shown)
    assert watched.shown == ["An older warning.", FULLER.message, SLOW.message]
    watched.found = []
    watched.until(lambda: watched.shown == ["An older warning."])
    watched.loop.close()


def test_people_hear_of_an_alarm_once() -> None:
    watched = Watched()
    watched.found = [FULL]
    watched.until(lambda: bool(watched.told))
    watched.found = [FULLER, SLOW]
    watched.until(lambda: len(watched.told) == 2)
    assert watched.told == [[FULL.code], [SLOW.code]]
    watched.found = []
    watched.settle()
    watched.found = [FULL]  # around its limit
    watched.settle()
    assert len(watched.told) == 2
    watched.found = []
    watched.settle()
    watched.now += 7 * 3600
    watched.found = [FULL]
    watched.until(lambda: len(watched.told) == 3)
    watched.loop.close()


def assert_set(event: threading.Event) -> None:
    assert event.wait(60)


def test_a_disk_that_hangs_holds_one_thread_and_never_the_loop() -> None:
    watched = Watched()
    release = threading.Event()
    watched.look = lambda: assert_set(release)
    watched.until(lambda: watched.looks == 1)
    turns: list[int] = []
    for number in range(20):
        watched.loop.call_later(0.01, lambda number=number: turns.append(number))  # type: ignore[misc]
    watched.until(lambda: len(turns) == 20)
    assert watched.looks == 1
    release.set()
    watched.until(lambda: watched.looks > 1)
    watched.loop.close()


class Hook:
    """A webhook that keeps what it is sent."""

    def __init__(self, status: int = 200) -> None:
        self.bodies: list[dict[str, Any]] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://user:secret@127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Hook:
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_a_webhook_hears_of_it() -> None:
    lines: list[str] = []
    with Hook() as hook:
        tell = teller([hook.url], "studio", {**os.environ, "no_proxy": "*"}, lines.append)
        began = threading.active_count()
        tell([FULL, SLOW])
        deadline = time.monotonic() + 60
        while not hook.bodies and time.monotonic() < deadline:
            time.sleep(0.02)
        while threading.active_count() > began and time.monotonic() < deadline:
            time.sleep(0.02)  # the process that told has been collected
    (body,) = hook.bodies
    assert body["title"] == "TTS studio: 2 alarms" and FULL.message in body["message"] and SLOW.fix in body["message"]
    assert len(lines) == 2 and "cache_disk_nearly_full" in lines[0] and not any("secret" in line for line in lines)


def test_who_cannot_be_told_is_logged() -> None:
    lines: list[str] = []
    with Hook(status=500) as hook:
        teller([hook.url], "studio", {**os.environ, "no_proxy": "*"}, lines.append)([FULL])
        deadline = time.monotonic() + 60
        while len(lines) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert "Nobody could be told" in lines[1] and "Not every service" in lines[1] and "secret" not in lines[1]


def test_bad_addresses_are_one_sentence_without_the_secret() -> None:
    with pytest.raises(LauncherError, match="Address 1") as error:
        send(["nonsense-service://user:secret@host"], "t", "b")
    assert "secret" not in str(error.value)
    with Hook(status=500) as hook, pytest.raises(LauncherError, match="Not every service"):
        send([hook.url], "t", "b")


def test_without_addresses_and_without_apprise() -> None:
    lines: list[str] = []
    teller([], "studio", os.environ, lines.append)([FULL])
    assert len(lines) == 1
    script = (
        "import sys; sys.modules['apprise'] = None\n"
        "from launcher.alarms.telling import send\n"
        "try: send(['json://x'], 't', 'b')\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "apprise" in done.stdout and "alarms" in done.stdout
