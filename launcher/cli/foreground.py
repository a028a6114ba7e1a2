"""A run of the supervisor in this process: binds, answers, then makes everything else ready behind the loading page.

Invariants: between the command and the bound port nothing slow happens; what is slow happens in a thread while the
loop answers; the instance's lock is held for the whole run.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher import __version__
from launcher.access import AccessRules, EndedSessions
from launcher.access.audit import AuditLog
from launcher.access.clients import parse_networks
from launcher.access.ended import forget_expired
from launcher.alarms import telling
from launcher.alarms.duty import Duty, Instance
from launcher.alarms.watch import look
from launcher.apps import (
    Addresses,
    app_specs,
    child_specs,
    errand_spec,
    lacks_models,
    missing_weights,
    project_dirs,
    stale_scripts,
)
from launcher.cache.folders import make_folder, make_owned_folder, make_private_folder, storage_error
from launcher.cache.layout import InstancePaths, instance_paths, prepare
from launcher.channel import bind_socket
from launcher.cli.app import Context
from launcher.cli.browser import open_page
from launcher.cli.narration import Narration, unheard
from launcher.config import Config
from launcher.engines.choice import choose
from launcher.errors import LauncherError, StartError
from launcher.metrics.figures import Figures
from launcher.metrics.tally import Tally
from launcher.process.bind import bind_port, url_of
from launcher.process.crash import CrashReports, crash_of_supervisor
from launcher.process.errands import Errands
from launcher.process.facts import new_mark, observe
from launcher.process.health import Patience
from launcher.process.logs import LogWriter
from launcher.process.notify import Notifier, forget, inherited_socket
from launcher.process.run_settings import Settings
from launcher.process.runfile import RunFile, RunRecord
from launcher.process.snapshot import APP, PAGE, engine_names
from launcher.process.supervisor import Supervisor
from launcher.process.takeover import Claim, end_leftovers, remove_dead_sockets, take_port
from launcher.process.timings import StartTimes
from launcher.process.tls import server_context
from launcher.profiles.store import BUILTIN, resolve

if TYPE_CHECKING:
    import ssl

_SETTING = "LAUNCHER_DATA_DIR"


def run(context: Context, config: Config, run_file: RunFile, *, detached: bool) -> None:
    """Runs an instance until it is stopped.

    Args:
        context: where to print.
        config: the settings.
        run_file: the instance's.
        detached: nobody watches: no browser, and a terminal that closes does not end it.

    Raises:
        AlreadyRunningError: when the instance runs.
        LauncherError: when it cannot start.
    """
    began = time.monotonic()
    paths = instance_paths(config)
    stale = None if config.app == BUILTIN else stale_scripts(resolve(config))
    make_folder(paths.root, _SETTING)
    facts = observe(os.getpid())
    created_at = 0.0 if facts is None else facts.created_at
    with run_file.lock(created_at=created_at):
        logs = _log_writer(config, paths.log_dir)
        narration = Narration(context.output, began=began)
        claim = Claim(config.instance, str(config.data_dir), project_dirs(), run_file.read(), stale)
        tell = _teller(logs, context)
        reports = CrashReports(paths.log_dir, logs.clean)
        # Before the first line of this run, which would stand below its last ones.
        died = claim.record and reports.keep(crash_of_supervisor(claim.record, paths.log_dir))
        ground = _Ground(config, paths, run_file, claim, logs, reports, tell)
        notifier = Notifier.from_environment(os.environ, os.getpid())
        supervisor, addresses = _assemble(ground, narration, notifier, created_at)
        if died:
            supervisor.status.show_crash(died)
        supervisor.install_signals(hang_up=not detached)
        _keep_alive(supervisor, notifier)
        tally = _keep_watch(supervisor, config, logs)
        errands = _offer_errands(supervisor, config, addresses, logs, tally)
        work = functools.partial(_make_ready, supervisor, ground, addresses)
        threading.Thread(target=work, name="make ready", daemon=True).start()
        if not detached:
            open_page(config.open_browser, supervisor.status.snapshot()["url"], tell)
        try:
            supervisor.run()
        finally:
            errands.close()
            notifier.close()
            logs.close()
            remove_dead_sockets(paths.runtime_dir)
        narration.stopped()


def _log_writer(config: Config, log_dir: Path) -> LogWriter:
    return LogWriter(
        log_dir,
        level=config.log_level,
        max_bytes=config.log_max_bytes,
        files=config.log_files,
        max_age_s=config.log_days * 86_400.0,
        secrets=config.secrets,
    )


@dataclass(frozen=True)
class _Ground:
    """What a run stands on; ``tell`` says a sentence to the person and the log."""

    config: Config
    paths: InstancePaths
    run_file: RunFile
    claim: Claim
    logs: LogWriter
    reports: CrashReports
    tell: Callable[[str], None]


def _keep_alive(supervisor: Supervisor, notifier: Notifier) -> None:
    """Gives the service manager's watchdog its signs of life, from the loop and for as long as that turns."""
    if notifier.interval_s:
        notifier.alive()
        supervisor.loop.call_later(notifier.interval_s, functools.partial(_keep_alive, supervisor, notifier))


def _keep_watch(supervisor: Supervisor, config: Config, logs: LogWriter) -> Tally:
    """Looks for alarms and numbers now and then."""
    loop = supervisor.loop
    instance = Instance(loop.call_later, loop.call_from_thread, supervisor.status.snapshot, supervisor.show_alarms)
    log = functools.partial(logs.write, "supervisor", "warning")
    if config.alarm_urls and not telling.is_installed():
        supervisor.warn(
            "LAUNCHER_ALARM_URLS is set, but apprise, which tells of alarms, is not installed.", telling.FIX
        )
    figures = Figures(instance, config, log)
    supervisor.metrics = figures.text
    supervisor.offer("metrics", lambda message: {"text": figures.text()})
    supervisor.listen(figures.hear)
    supervisor.offer("figures", lambda message: figures.to_json())
    Duty(instance, functools.partial(look, config), telling.teller(config.alarm_urls, config.instance, os.environ, log))
    return figures.tally


def _offer_errands(
    supervisor: Supervisor, config: Config, addresses: Addresses, logs: LogWriter, tally: Tally
) -> Errands:
    """Lets the page have long work done: the System tab's buttons."""
    errands = Errands(
        supervisor.loop,
        lambda: errand_spec(config, addresses, os.environ),
        logs,
        on_progress=lambda errand: tally.take_progress(f"errand {errand.number}", errand.progress),
    )
    supervisor.offer("errand", errands.start)
    supervisor.offer("errands", lambda message: errands.to_json())
    supervisor.offer("cancel-errand", errands.cancel)
    return errands


def _assemble(
    ground: _Ground, narration: Narration, notifier: Notifier, created_at: float
) -> tuple[Supervisor, Addresses]:
    """Binds the port and the control socket, and puts the supervisor on top of them."""
    config, paths = ground.config, ground.paths
    tls = server_context(config.tls_cert, config.tls_key) if config.tls_cert else None
    sock = inherited_socket(os.environ, os.getpid())
    forget(os.environ)
    if sock is None:
        sock = take_port(config.host, config.port, ground.claim, ground.tell)
    port = sock.getsockname()[1]
    try:
        control_sock, addresses = _bind_control(config, paths, port)
    except LauncherError:
        sock.close()
        raise
    record = RunRecord(
        instance=config.instance,
        mark=addresses.mark,
        supervisor_pid=os.getpid(),
        supervisor_created_at=created_at,
        host=config.host,
        port=port,
        url=url_of(config.host, port, config.root_path, config.scheme),
        control_address=addresses.control,
        control_token=addresses.control_token,
        token=addresses.token,
        started_at=time.time(),
        version=__version__,
        log_dir=str(paths.log_dir),
    )
    supervisor = Supervisor(
        sock,
        control_sock,
        record=record,
        run_file=ground.run_file,
        settings=_settings(config, paths, addresses, tls),
        times=StartTimes(paths.root / "start_times.json"),
        logs=ground.logs,
        on_change=_both(narration.show, notifier.show),
        reports=ground.reports,
        # Windows cannot pass a socket on to a child through a descriptor: the page binds the port itself there.
        rebind=None if os.name == "posix" else functools.partial(bind_port, config.host, port),
    )
    return supervisor, addresses


def _settings(config: Config, paths: InstancePaths, addresses: Addresses, tls: ssl.SSLContext | None) -> Settings:
    return Settings(
        rules=AccessRules(
            addresses.token, config.allowed_hosts, config.user_tokens, EndedSessions(paths.ended_sessions)
        ),
        root_path=config.root_path,
        trusted=parse_networks(config.trusted_proxies),
        tls=tls,
        audit=AuditLog(paths.log_dir),
        stop_grace_s=config.stop_grace_s,
        restart_limit=config.restart_limit,
        restart_window_s=config.restart_window_s,
        patience=Patience(hung_s=config.hang_s),
        front=PAGE if config.app == BUILTIN else APP,
    )


def _both(*listeners: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def tell(snapshot: dict[str, Any]) -> None:
        for listener in listeners:
            listener(snapshot)

    return tell


def _bind_control(config: Config, paths: InstancePaths, port: int) -> tuple[socket.socket, Addresses]:
    """The control socket, and where the processes of this run meet."""
    if paths.runtime_dir.parent == paths.root:
        make_private_folder(paths.runtime_dir, _SETTING)
    else:
        make_owned_folder(paths.runtime_dir, _SETTING)
    try:
        sock, control = bind_socket(_local_address(paths.runtime_dir, "control"))
    except OSError as error:
        raise storage_error(error, _SETTING, paths.runtime_dir) from None
    mark = new_mark(config.instance, str(config.data_dir))
    unix = control.startswith("unix:")
    # Named after the run: an engine that outlived a crash must not take the new one's socket away when it goes.
    engine, *further = (
        _local_address(paths.runtime_dir, f"{name}-{mark[-8:]}") if unix else f"tcp:127.0.0.1:{_free_port()}"
        for name in engine_names(len(config.devices))
    )
    return sock, Addresses(
        host=config.host,
        port=port,
        control=control,
        engine=engine,
        further_engines=tuple(further),
        mark=mark,
        # Users without a common token: this machine's own commands need one of their own.
        token=config.token or (os.urandom(24).hex() if config.users else ""),
        control_token="" if unix else os.urandom(24).hex(),
        engine_token="" if unix else os.urandom(24).hex(),
    )


def _make_ready(supervisor: Supervisor, ground: _Ground, addresses: Addresses) -> None:
    """Everything slow before the children start; runs in a thread of its own."""
    config, paths = ground.config, ground.paths
    call = supervisor.loop.call_from_thread
    try:
        end_leftovers(ground.claim, ground.tell)
        remove_dead_sockets(paths.runtime_dir, keep=Path(addresses.control.partition(":")[2]).name)
        warnings = prepare(config)
        _empty(paths.temp_dir)
        forget_expired(paths.ended_sessions)
        texts = config.warnings
        if config.app == BUILTIN:
            choice = choose(config)
            call(functools.partial(supervisor.take, choice.name, choice.reason))
            specs = child_specs(config, addresses, os.environ, choice)
            weights_missing = bool(missing_weights(config, choice))
            texts += choice.warnings
        else:
            specs = app_specs(config, addresses, os.environ)
            weights_missing = lacks_models(config)
    except LauncherError as error:
        call(functools.partial(supervisor.abort, error))
        return
    except Exception as error:  # noqa: BLE001 - a thread that dies silently would leave a loading page for ever
        unexpected = StartError(f"The start failed unexpectedly: {type(error).__name__}: {error}.")
        call(functools.partial(supervisor.abort, unexpected))
        return
    for text in texts:
        call(functools.partial(supervisor.warn, text))
    for warning in warnings:
        call(functools.partial(supervisor.warn, warning.message, warning.fix))
    call(functools.partial(supervisor.start_children, specs, weights_missing=weights_missing))
    _compare(supervisor, config)


def _compare(supervisor: Supervisor, config: Config) -> None:
    """Mentions what an update has left to be done; a first start notes what there is."""
    from launcher.doctor.update import note_seen, out_of_date, read_seen

    old = out_of_date(config, Path(__file__).resolve().parents[2])
    if old:
        text = f"Since the last update these are out of date: {', '.join(old)}."
        supervisor.loop.call_from_thread(functools.partial(supervisor.warn, text, "See: tts-launcher self-check"))
    if read_seen(config.data_dir) is None:
        note_seen(config.data_dir)


def _teller(logs: LogWriter, context: Context) -> Callable[[str], None]:
    def tell(text: str) -> None:
        logs.write("supervisor", "info", text)
        with unheard():
            context.output.note(text)

    return tell


def _local_address(runtime_dir: Path, name: str) -> str:
    return f"unix:{runtime_dir / name}.sock" if os.name == "posix" else "tcp:127.0.0.1:0"


def _free_port() -> int:
    """A port that is free now, for a child that binds it a moment later."""
    sock, address = bind_socket("tcp:127.0.0.1:0")
    sock.close()
    return int(address.rpartition(":")[2])


def _empty(folder: Path) -> None:
    """Removes what an earlier run left in its private temporary folder; its processes have ended."""
    # The folder of Gradio's uploads stays, because `prepare` has just made it.
    left = [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    for path in left:
        with contextlib.suppress(OSError):
            path.unlink()
