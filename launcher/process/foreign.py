"""Runs somebody else's app as a child of the supervisor: `python -m launcher.process.foreign`.

It links the app's models to where the app looks for them, starts the app with its own interpreter on a port of its
own, says `ready` when it answers, and stands in front of it (`launcher.process.front`) until either of them ends.

Invariants: the app is in this process's group, so nothing of it outlives this; the end of standard input ends both;
every line that the app prints goes to standard output; what a line means, if the profile knows, is said in a sentence.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from launcher.access import AccessRules, EndedSessions
from launcher.access.audit import AuditLog
from launcher.access.clients import parse_networks
from launcher.cache.layout import instance_paths
from launcher.channel import Channel, ChannelError
from launcher.config import Config
from launcher.errors import ConfigError, LauncherError, StartError
from launcher.process.answers import Answers
from launcher.process.bind import bind_port
from launcher.process.child import MAX_LINE_BYTES
from launcher.process.front import Front
from launcher.process.tls import server_context
from launcher.process.weights import Told
from launcher.profiles.environment import HOST, app_command, app_environment, placeholders
from launcher.profiles.placing import odd_sizes, place
from launcher.profiles.profile import Failure, fill
from launcher.profiles.store import App, resolve
from launcher.progress import Progress

COMPONENT = "app"
#: How often it is asked whether it is ready: as soon as a person would notice.
_POLL_S = 0.2
_ANSWER_TIMEOUT_S = 5.0
#: What an app gets to end by itself when the supervisor, which would count otherwise, has gone.
_ORPHAN_GRACE_S = 5.0
#: The last lines are in the pipe already; what the app has started may hold its other end.
_LAST_WORDS_S = 0.5
#: Progress bars are redrawn with a carriage return.
_LINE_END = re.compile(rb"[\r\n]+")


class Life:
    """One life of an app.

    Args:
        config: the settings.
        settings: this process's, see `launcher.apps`.
        told: the supervisor.
    """

    def __init__(self, config: Config, settings: Mapping[str, Any], told: Told) -> None:
        self._config = config
        self._settings = settings
        self._told = told
        self._stop = asyncio.Event()
        self._seen_ready = False
        self._was_ready = False
        self._failure: Failure | None = None

    def stop(self) -> None:
        """Begins to end; called in the loop."""
        self._stop.set()

    async def run(self) -> int:
        """From start to end; returns the exit status as `subprocess` counts it.

        Raises:
            LauncherError: when the app cannot start, and trying again would not help.
        """
        app = resolve(self._config)
        self._prepare(app)
        port = app.profile.port or _free_port()
        config = self._config
        tls = server_context(config.tls_cert, config.tls_key) if config.tls_cert else None
        ended = EndedSessions(instance_paths(config).ended_sessions)
        rules = AccessRules(self._settings["token"], config.allowed_hosts, config.user_tokens, ended)
        front = Front(port, gate=self._gate(rules), hides_token=bool(rules.holders), tls=tls)
        descriptor = self._settings.get("listen_fd")
        # A system that cannot pass a socket on leaves the port to this process from its start.
        server = await front.serve(bind_port(config.host, self._settings["port"])) if descriptor is None else None
        process = self._start(app, port)
        reader = threading.Thread(target=self._read, args=(app, process), name="app output", daemon=True)
        reader.start()
        waiting = _end_of(process)
        stopping = asyncio.ensure_future(self._stop.wait())
        becoming = asyncio.ensure_future(self._until_ready(app, port))
        await _first(waiting, stopping, becoming)
        if becoming.done() and not (waiting.done() or stopping.done()):
            if not becoming.result():
                _end_group(process)
                raise self._late(app, port)
            if server is None:
                server = await front.serve(socket.socket(fileno=descriptor))
            front.is_open = self._was_ready = True
            about = {"name": app.profile.name, "directory": str(app.directory), "pid": process.pid, "port": port}
            self._told.end()
            self._told.say("ready", info=about)
            await _first(waiting, stopping)
        becoming.cancel()
        if server is not None:
            server.close()
        if not waiting.done():
            _end_group(process)
            await waiting
        reader.join(_LAST_WORDS_S)
        if self._stop.is_set():
            return 0
        return self._judge(waiting.result())

    def _prepare(self, app: App) -> None:
        """Links to the models, and a word about files of the app's own that look cut."""
        self._told.progress(Progress("place"))
        made = place(self._config, app.profile, app.directory)
        if made:
            say(f"{len(made)} links to models were made in {app.directory}, the first one {made[0]}.")
        for path, size, expected in odd_sizes(app.profile, app.directory):
            say(f"WARNING {path} has {size:,} bytes where {expected:,} are usual; if it was cut, remove it.")
        self._told.progress(Progress("load"))

    def _gate(self, rules: AccessRules) -> Answers:
        return Answers(
            rules=rules,
            snapshot=dict,
            remaining_s=lambda: 1.0,
            last_lines=dict,
            root_path=self._config.root_path,
            trusted=parse_networks(self._config.trusted_proxies),
            audit=AuditLog(instance_paths(self._config).log_dir),
            metrics=self._metrics,
        )

    def _metrics(self) -> str:
        """The supervisor's figures; empty when it does not answer."""
        try:
            channel = Channel.connect(self._settings["control_address"], token=self._settings["control_token"])
        except ChannelError:
            return ""
        try:
            return str(channel.call("metrics").get("text", ""))
        except ChannelError:
            return ""
        finally:
            channel.close()

    def _start(self, app: App, port: int) -> subprocess.Popen[bytes]:
        values = {**placeholders(self._config, app.directory), "port": str(port)}
        command = app_command(app, values)
        environment = app_environment(self._config, app, os.environ)
        environment = {name: fill(text, {"port": str(port)}) for name, text in environment.items()}
        say(f"starting {' '.join(command)} in {app.directory}")
        try:
            # Threads and no asyncio pipes: asyncio takes a process for alive as long as anybody holds its pipes.
            return subprocess.Popen(
                command,
                cwd=app.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
            )
        except OSError as error:
            raise StartError(
                f"{command[0]} cannot be started: {error.strerror or error}.",
                fix=f"Correct python or command in {app.profile.source}.",
            ) from None

    def _read(self, app: App, process: subprocess.Popen[bytes]) -> None:
        """Passes on every line, and looks what it means."""
        output = process.stdout
        assert output is not None
        rest = b""
        while data := output.read(65536):
            *lines, rest = _LINE_END.split(rest + data)
            if len(rest) > MAX_LINE_BYTES:
                lines, rest = [*lines, rest], b""
            for line in filter(None, lines):
                self._heard(app, line.decode("utf-8", errors="replace"))
        if rest:
            self._heard(app, rest.decode("utf-8", errors="replace"))

    def _heard(self, app: App, line: str) -> None:
        say(line)
        self._failure = app.profile.explain(line) or self._failure
        if app.profile.ready and re.search(app.profile.ready, line):
            self._seen_ready = True

    async def _until_ready(self, app: App, port: int) -> bool:
        """Whether it became ready in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + app.profile.start_timeout_s
        while loop.time() < deadline:
            if (not app.profile.ready or self._seen_ready) and await _answers(port, app.profile.health):
                return True
            await asyncio.sleep(_POLL_S)
        return False

    @staticmethod
    def _late(app: App, port: int) -> StartError:
        said = f" or has not written {app.profile.ready!r}" if app.profile.ready else ""
        return StartError(
            f"The app {app.profile.name} does not answer at http://{HOST}:{port}{app.profile.health}{said} after "
            f"{app.profile.start_timeout_s:g} s.",
            fix=f"See `tts-launcher logs --component app`; health, ready, port and start_timeout_s stand in "
            f"{app.profile.source}.",
        )

    def _judge(self, status: int) -> int:
        """What an end that nobody asked for means."""
        failure = self._failure
        if failure is not None:
            if not self._was_ready:  # the next start would end in the same way
                raise StartError(failure.message, fix=failure.fix)
            say(f"ERROR {failure.message} {failure.fix}".strip())
        return status


def say(text: str) -> None:
    """One line for the log."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _answers(port: int, path: str) -> bool:
    """Whether the app serves a path; an answer that it cannot yet is none."""
    try:
        return await asyncio.wait_for(_ask(port, path), _ANSWER_TIMEOUT_S) < 500
    except (OSError, ValueError, IndexError, asyncio.TimeoutError):
        return False


async def _ask(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as sock:
        return int(sock.getsockname()[1])


async def _first(*futures: asyncio.Future[Any]) -> None:
    """Returns when one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _end_of(process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """Its exit status, once it has ended."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def wait() -> None:
        status = process.wait()
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(ended.set_result, status)

    threading.Thread(target=wait, name="app exit", daemon=True).start()
    return ended


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Asks the app and everything that it started to end."""
    with contextlib.suppress(ProcessLookupError):
        if os.name == "posix" and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGTERM)  # this process hears it, too, and is stopping already
        else:
            process.terminate()


def _end_with_supervisor(loop: asyncio.AbstractEventLoop, life: Life) -> None:
    """Ends the app when the supervisor has gone, by force if need be."""
    sys.stdin.buffer.read()
    with contextlib.suppress(RuntimeError):  # the loop is over
        loop.call_soon_threadsafe(life.stop)
    threading.Event().wait(_ORPHAN_GRACE_S)
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


async def _live(config: Config, settings: Mapping[str, Any], told: Told) -> int:
    loop = asyncio.get_running_loop()
    life = Life(config, settings, told)
    if os.name == "posix":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, life.stop)
    threading.Thread(target=_end_with_supervisor, args=(loop, life), name="supervisor's end", daemon=True).start()
    return await life.run()


def main() -> int:
    """Runs with the settings from standard input; returns the exit status, negative for a signal."""
    try:
        settings = json.loads(sys.stdin.buffer.readline())
        config = Config.from_json(settings["config"])
        channel = Channel.connect(settings["control_address"], token=settings["control_token"], timeout_s=None)
    except (ValueError, KeyError, TypeError):
        say("Apps are run by the launcher: tts-launcher start --app NAME")
        return ConfigError.exit_code
    except ChannelError:
        return 1
    told = Told(channel, COMPONENT, "place")
    try:
        status = asyncio.run(_live(config, settings, told))
    except LauncherError as error:
        say(f"ERROR {error}")
        told.say("failed", message=error.message, fix=error.fix)
        return error.exit_code
    finally:
        told.end()
    if status == 0:
        told.say("stopping")
    return status


def _leave(status: int) -> None:
    """Ends as the app has ended, so that who counts crashes sees its signal."""
    sys.stdout.flush()
    if status < 0 and os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the core of interest is the app's
        signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -status)
    os._exit(max(status, 0) or 0)


if __name__ == "__main__":
    _leave(main())
