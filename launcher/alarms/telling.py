"""Telling people: apprise's services (desktop, webhook, e-mail and a hundred more), from a process of its own.

``python -m launcher.alarms.telling`` reads one JSON object from standard input: ``{"urls": [...], "title", "body"}``.
Invariants: the addresses, which hold passwords, travel through the pipe and nowhere else; whoever asked never waits
and never fails because of it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from launcher.alarms.names import Alarm
from launcher.errors import LauncherError

#: A mail server may take its time; nobody waits for it.
_PATIENCE_S = 120.0
FIX = "Install it with: pip install 'tts-launcher[alarms]'"
#: Of what a process that failed has said last.
_LAST_CHARS = 300


def teller(
    urls: Sequence[str], instance: str, environ: Mapping[str, str], log: Callable[[str], None]
) -> Callable[[Sequence[Alarm]], None]:
    """Tells of alarms through ``urls``; without any it only writes the log.

    Args:
        urls: as apprise writes them, such as ``json://host/hook`` or ``mailto://user:password@example.org``.
        instance: whose alarms they are.
        environ: of the process that tells, as `os.environ`.
        log: takes a sentence.
    """

    def tell(alarms: Sequence[Alarm]) -> None:
        for one in alarms:
            log(f"Alarm {one.code}: {one.message} {one.fix}")
        if urls:
            body = "\n".join(f"{one.message} {one.fix}" for one in alarms)
            try:
                start(urls, environ, f"TTS {instance}: {len(alarms)} alarm{'s' * (len(alarms) > 1)}", body, log)
            except (OSError, RuntimeError) as error:  # no process, or no thread, is to be had now
                log(f"Nobody could be told of an alarm: {error}")

    return tell


def is_installed() -> bool:
    """Whether apprise is here; nothing is imported."""
    return importlib.util.find_spec("apprise") is not None


def start(
    urls: Sequence[str], environ: Mapping[str, str], title: str, body: str, log: Callable[[str], None]
) -> subprocess.Popen[bytes]:
    """Starts the process that tells; does not wait for it, and logs why when it fails.

    Raises:
        OSError, RuntimeError: when it cannot be started.
    """
    # Whoever started us may stand anywhere; both processes take the same package.
    path = [str(Path(__file__).resolve().parents[2]), *filter(None, [environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "launcher.alarms.telling"],
        env={**environ, "PYTHONPATH": os.pathsep.join(path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    request = json.dumps({"urls": list(urls), "title": title, "body": body}).encode()
    try:
        threading.Thread(target=_collect, args=(process, request, log), name="alarm", daemon=True).start()
    except RuntimeError:  # nobody would hand it the request, nor see its end
        process.kill()
        process.communicate()
        raise
    return process


def _collect(process: subprocess.Popen[bytes], request: bytes, log: Callable[[str], None]) -> None:
    try:
        _, said = process.communicate(request, _PATIENCE_S)
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        reason = last.removeprefix("launcher.errors.LauncherError: ")[:_LAST_CHARS]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        reason = f"It took more than {_PATIENCE_S:.0f} s."
    if process.returncode:
        log(f"Nobody could be told of an alarm: {reason or f'exit code {process.returncode}'}")


def send(urls: Sequence[str], title: str, body: str) -> None:
    """Tells at once and waits for it.

    Raises:
        LauncherError: when apprise is not installed, an address makes no sense, or a service refuses.
    """
    try:
        import apprise
    except ImportError:
        raise LauncherError("apprise, which sends alarms, is not installed.", fix=FIX) from None
    found = apprise.Apprise()
    for number, url in enumerate(urls, 1):
        if not found.add(url):
            raise LauncherError(
                f"Address {number} of LAUNCHER_ALARM_URLS makes no sense to apprise.",
                fix="See https://appriseit.com for how each service is written.",
            )
    if not found.notify(body=body, title=title):
        raise LauncherError("Not every service took the alarm.", fix="Check the addresses in LAUNCHER_ALARM_URLS.")


def main() -> None:
    """Sends what stands on standard input.

    Raises:
        LauncherError: as `send`; the exit code is then not 0, and the last line on standard error says why.
    """
    request = json.load(sys.stdin)
    send(request["urls"], request["title"], request["body"])


if __name__ == "__main__":
    main()
