"""The engine's process: `python -m webui.engine.worker`, started by the supervisor or by `launcher say`.

Invariants: the socket listens before anything heavy is imported, so `/health` answers while the engine loads; the
engine's own imports happen in its thread; the process ends with its supervisor (end of standard input), on SIGTERM,
and, when it has a supervisor to tell, after a failure to load.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.channel import bind_socket
from launcher.errors import ConfigError, EngineError, LauncherError
from webui.engine.child import end_with_supervisor, log_to_stderr, read_settings_line
from webui.engine.forkserver import ENDING, READY, ForkServer, Inheritance, is_worth_it
from webui.engine.reporting import Reporter
from webui.settings import WorkerSettings, parse_settings

if TYPE_CHECKING:
    from webui.engine.base import Engine
    from webui.engine.checking import Ear
    from webui.engine.holder import EngineHolder
    from webui.engine.serving import ChildServer

_log = logging.getLogger(__name__)

#: Seconds that a request in progress may take once the end was asked for; then it is cancelled, which takes 0.2.
GRACE_S = 2.5
#: Between two looks at whether the engine is idle, at least.
IDLE_POLL_S = 0.5


class Worker:
    """One engine served on one socket.

    Args:
        settings: from the supervisor.
        parent: the fork server that started this process, if one did.
    """

    def __init__(self, settings: WorkerSettings, parent: Inheritance | None = None) -> None:
        if settings.address.startswith("tcp:") and not settings.token:
            raise ConfigError("The engine would listen on TCP without a token.", fix="Give WorkerSettings a token.")
        self._settings = settings
        self._parent = parent
        # The supervisor knows the engine by the process that it has started.
        pid = parent.pid if parent else os.getpid()
        self._reporter = Reporter(settings.component, settings.control_address, settings.control_token, pid=pid)
        self._holder: EngineHolder | None = None
        self._server: ChildServer | None = None
        self._loading: asyncio.Task[None] | None = None
        self.exit_code = 0

    def run(self) -> int:
        """Serves until the end; returns the exit code.

        Raises:
            OSError: when the address cannot be bound.
        """
        sock = self._parent.sock if self._parent else bind_socket(self._settings.address)[0]
        self._reporter.start()
        # Imported now: the socket is already there, and whoever connects waits instead of being refused.
        from webui.engine.holder import EngineHolder
        from webui.engine.service import create_service
        from webui.engine.serving import ChildServer

        options = self._settings.options
        self._holder = EngineHolder(
            self._settings.engine,
            self._create_engine,
            self._reporter.progress,
            _end_lost,
            usual_quality=options.get("quality") or "off",
            ear=_ear(self._settings),
        )
        service = create_service(self._holder, self._settings.token)
        holder = self._holder
        self._server = ChildServer(
            service,
            grace_s=1,
            on_started=self._start_loading,
            on_stopping=lambda: asyncio.get_running_loop().call_later(GRACE_S, holder.stop),
            is_busy=lambda: holder.busy,
            busy_s=GRACE_S + 1,
        )
        end_with_supervisor(self._server.ask_to_stop, os._exit, grace_s=GRACE_S + 2)
        self._server.serve_on(sock)
        if not self.exit_code:
            self._reporter.stopping()
        self._reporter.close()
        self._tell_parent(ENDING)
        return self.exit_code

    def _tell_parent(self, word: bytes) -> None:
        if self._parent is not None:
            self._parent.tell(word)

    def _create_engine(self) -> Engine:
        return create_engine_of(self._settings)

    def _start_loading(self) -> None:
        loop = asyncio.get_running_loop()
        self._loading = loop.create_task(self._load())
        self._reporter.beat(loop)

    async def _load(self) -> None:
        assert self._holder is not None and self._server is not None
        try:
            info = await self._holder.load()
        except LauncherError as error:
            _log.error("%s", error)
            if self._settings.control_address:
                self.exit_code = error.exit_code
                await asyncio.to_thread(self._reporter.failed, error)
                self._server.ask_to_stop()
            return  # without a supervisor, whoever started this process reads the failure from /health
        self._reporter.ready(info.to_json())
        self._tell_parent(READY)
        await self._watch_idle()

    async def _watch_idle(self) -> None:
        """Tells the supervisor when nobody has wanted anything for long; it then ends this process."""
        assert self._holder is not None
        limit_s = float(self._settings.options.get("idle_unload_s") or 0)
        while limit_s and self._settings.control_address:
            left_s = limit_s - self._holder.idle_s
            if left_s <= 0:
                self._reporter.idle()
            await asyncio.sleep(max(left_s, IDLE_POLL_S))


def _ear(settings: WorkerSettings) -> Ear | None:
    """What reads speech back; ``None`` where its packages are not installed."""
    python = settings.options.get("listening_python")
    if not python:
        return None
    from webui.quality.ear import ListeningProcess

    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(settings.cache_dir) / "huggingface" / "hub")
    return ListeningProcess((python, "-u", "-m", "webui.quality.recogniser"), cache, settings.threads)


def _end_lost() -> None:
    """Ends this process as a crash does: who waits for sound asks elsewhere, and another engine takes its place."""
    sys.stderr.flush()
    os._exit(EngineError.exit_code)


def create_engine_of(settings: WorkerSettings) -> Engine:
    """The engine that the settings name, not loaded.

    Raises:
        EngineError: when it is unknown or a package that it needs is missing.
    """
    from webui.engine.registry import ENGINES, create_engine

    name = settings.engine
    # The settings come from our own supervisor or command line, never from a request: a direct target is safe.
    engines = {name: name} if ":" in name else ENGINES
    return create_engine(
        name,
        cache_dir=Path(settings.cache_dir),
        device=settings.device,
        threads=settings.threads,
        options=settings.options,
        engines=engines,
    )


def run_worker(settings: WorkerSettings) -> int:
    """Runs the engine here, or in a process forked from here when its imports take long; returns the exit code.

    Raises:
        OSError: when the address cannot be bound.
        LauncherError: when the settings are wrong.
    """
    if not is_worth_it(settings):
        return Worker(settings).run()

    def prepare() -> None:
        import webui.engine.holder
        import webui.engine.service
        import webui.engine.serving  # noqa: F401 - what `Worker.run` imports

        engine = create_engine_of(settings)
        import_packages = getattr(engine, "import_packages", None)
        if import_packages is not None:
            import_packages()

    return ForkServer(settings, lambda parent: Worker(settings, parent).run(), prepare, os._exit).run()


def main() -> int:
    """Runs the worker with the settings from standard input; returns the exit code."""
    log_to_stderr()
    if sys.stdin is None or sys.stdin.isatty():
        sys.stderr.write("The engine is started by the launcher: tts-launcher start\n")
        return ConfigError.exit_code
    try:
        return run_worker(parse_settings(WorkerSettings, read_settings_line()))
    except (ValueError, LauncherError) as error:
        sys.stderr.write(f"ERROR The engine cannot start: {error}\n")
        return error.exit_code if isinstance(error, LauncherError) else ConfigError.exit_code
    except OSError as error:
        sys.stderr.write(f"ERROR The engine cannot listen: {error}\n")
        return 1


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Not sys.exit: that would wait for the engine's thread, which may be deep inside an inference library.
    os._exit(code)
