"""The page's process: `python webui/webui.py`, started by the supervisor.

Invariants: settings come as one line on standard input, never from the environment; the port's socket is inherited
where the system can do that; the process holds no weights, and ends with its supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if __name__ == "__main__":
    # Python put this file's folder first: `import webui` would find this file instead of the package around it.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from launcher.access.clients import is_counted, parse_networks
from launcher.errors import ConfigError, LauncherError, PortError, StartError
from launcher.progress import Progress
from webui.engine.child import end_with_supervisor, log_to_stderr, read_settings_line
from webui.settings import PageSettings, parse_settings
from webui.supervisor_link import SupervisorLink

if TYPE_CHECKING:
    from webui.engine.serving import ChildServer
    from webui.guard import Guard
    from webui.jobs.store import JobStore
    from webui.library.library import Library
    from webui.synthesis import Synthesis

_log = logging.getLogger(__name__)

Store = TypeVar("Store")

#: Seconds that requests in progress may take at the end; the page's own event streams never end by themselves.
GRACE_S = 3
#: What is left of the supervisor's grace for everything behind the last word.
CLEARING_S = 1.0
#: Connections that the kernel keeps waiting; it bridges a restart of the page.
BACKLOG = 2048
#: Between two looks at whether what could not be opened can be opened now: at first, and after many.
FIRST_LOOK_S, LAST_LOOK_S = 2.0, 60.0


def serve(settings: PageSettings) -> None:
    """Serves the page until SIGTERM or the supervisor's end.

    Raises:
        LauncherError: when the page cannot be built or the port cannot be bound; the supervisor has been told.
    """
    link = SupervisorLink(settings)
    link.start()
    _step(link, "import", 0)
    # Hundreds of thousands of objects that stay are made now; looking for garbage among them costs a tenth of the time.
    gc.disable()
    library, jobs = None, None
    try:
        library, jobs = _or_without(_open_library, settings), _or_without(_open_jobs, settings)
        synthesis = _synthesis(settings, link)
        app = _build(settings, link, synthesis, library, jobs)
        gc.freeze()
        gc.enable()  # what requests leave behind in circles has to go
        _step(link, "serve", 2)
        sock = _listening_socket(settings)
        _keep_trying(settings, link, synthesis, (library, jobs))
    except LauncherError as error:
        link.reporter.failed(error)
        raise
    except Exception as error:
        # Whatever it is, the supervisor shows a sentence about it; the traceback goes to the log.
        _log.exception("the page cannot be built")
        reason = f"{type(error).__name__}: {error}".split("\n", 1)[0][:200]
        failure = StartError(f"The page cannot be built ({reason}).", fix="The log has the details: tts-launcher logs.")
        link.reporter.failed(failure)
        raise failure from error
    server = _server(app, settings, link, synthesis)
    end_with_supervisor(server.ask_to_stop, os._exit, grace_s=GRACE_S + 2)
    server.serve_on(sock)
    link.reporter.stopping()
    for store in (library, jobs):
        if store is not None:
            store.close()
    link.reporter.close()


def main() -> int:
    """Runs the page with the settings from standard input; returns the exit code."""
    log_to_stderr()
    if sys.stdin is None or sys.stdin.isatty():
        sys.stderr.write("The page is started by the launcher: tts-launcher start\n")
        return ConfigError.exit_code
    try:
        serve(parse_settings(PageSettings, read_settings_line()))
    except ValueError as error:
        sys.stderr.write(f"The page is started by the launcher: tts-launcher start ({error}).\n")
        return ConfigError.exit_code
    except LauncherError as error:
        _log.error("%s", error)
        return error.exit_code
    except Exception:  # noqa: BLE001 - the entry point: what nobody foresaw goes to the log
        _log.exception("the page ended")
        return StartError.exit_code
    return 0


def _open_library(settings: PageSettings) -> Library | None:
    """The library, if there is to be one.

    Raises:
        LauncherError: when it cannot be opened.
    """
    if not settings.library_dir:
        return None
    from webui.library.library import Library

    return Library(Path(settings.library_dir), keeps_history=settings.history, history_bytes=settings.history_bytes)


def _open_jobs(settings: PageSettings) -> JobStore | None:
    """The jobs; as `_open_library`."""
    if not settings.jobs_dir:
        return None
    from webui.jobs.store import JobStore

    return JobStore(Path(settings.jobs_dir), settings.batch_bytes)


def _or_without(open_store: Callable[[PageSettings], Store | None], settings: PageSettings) -> Store | None:
    """What was opened; a page that has to do without still speaks."""
    try:
        return open_store(settings)
    except LauncherError as error:
        _log.error("%s", error)
        return None


def _keep_trying(
    settings: PageSettings, link: SupervisorLink, synthesis: Synthesis, stores: tuple[Library | None, JobStore | None]
) -> None:
    """Asks for a new page once what could not be opened (a full disk, say) can be, and nobody listens."""
    missing: list[Callable[[PageSettings], Library | JobStore | None]] = []
    missing += [_open_library] if settings.library_dir and stores[0] is None else []
    missing += [_open_jobs] if settings.jobs_dir and stores[1] is None else []

    def work() -> None:
        pause_s = FIRST_LOOK_S
        while True:
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_LOOK_S)
            with contextlib.suppress(LauncherError):
                for open_store in missing:
                    if (store := open_store(settings)) is not None:
                        store.close()
                if not synthesis.listeners:
                    link.reporter.command("restart", component="page")

    if missing:
        threading.Thread(target=work, name="reopen", daemon=True).start()


def _synthesis(settings: PageSettings, link: SupervisorLink) -> Synthesis:
    from webui.engine.client import EngineClient
    from webui.engine.pool import EnginePool
    from webui.synthesis import Synthesis

    addresses = (settings.engine_address, *settings.further_engine_addresses)
    engines = EnginePool([EngineClient(address, settings.engine_token) for address in addresses])
    return Synthesis(engines, settings.queue_size, link=link)


def _build(
    settings: PageSettings,
    link: SupervisorLink,
    synthesis: Synthesis,
    library: Library | None,
    jobs: JobStore | None,
) -> Guard:
    from fastapi import FastAPI

    from webui.app import create_app
    from webui.ui.page import mount

    def mount_page(app: FastAPI) -> FastAPI:
        _step(link, "build", 1)
        return mount(app, settings=settings)

    return create_app(
        settings,
        engine=synthesis.engines,
        link=link,
        synthesis=synthesis,
        library=library,
        jobs=jobs,
        mount_page=mount_page,
    )


def _server(app: Guard, settings: PageSettings, link: SupervisorLink, synthesis: Synthesis) -> ChildServer:
    from webui.engine.connections import Admission
    from webui.engine.serving import ChildServer
    from webui.temporary import keep_sweeping

    max_age_s = settings.temp_hours * 3600.0
    keep_sweeping(Path(settings.temp_dir), max_bytes=settings.temp_bytes, max_age_s=max_age_s)
    trusted = parse_networks(settings.trusted_proxies)
    return ChildServer(
        app,
        grace_s=GRACE_S,
        on_started=lambda: _tell_ready(link),
        on_stopping=link.close,
        is_busy=lambda: synthesis.listeners > 0,
        busy_s=max(0.0, settings.stop_grace_s - CLEARING_S),
        admission=Admission(settings.max_connections, lambda address: is_counted(address, trusted)),
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
    )


def _step(link: SupervisorLink, stage: str, done: int) -> None:
    link.reporter.progress(Progress(stage, done, 3, "steps"))


def _tell_ready(link: SupervisorLink) -> None:
    # In a thread: a supervisor that is busy must not hold up the first request.
    loop = asyncio.get_running_loop()
    link.reporter.beat(loop)
    loop.run_in_executor(None, link.reporter.ready, {})


def _listening_socket(settings: PageSettings) -> socket.socket:
    if settings.listen_fd is not None:
        return socket.socket(fileno=settings.listen_fd)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP: asyncio sends small answers at once only on sockets that say so.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":  # on Windows this option would let two processes share the port
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.host, settings.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise PortError(
            f"Port {settings.port} on {settings.host} cannot be bound: {error.strerror}.",
            fix="Give another port: --port auto.",
        ) from None
    return sock


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Not sys.exit: a thread of a library that still waits for something must not keep a dead page alive.
    os._exit(code)
