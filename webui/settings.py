"""What the supervisor tells its children: one JSON line on their standard input.

Invariants: secrets never stand on a command line or in the environment; after that line the supervisor writes
nothing, and the end of standard input means that it has gone, so the child ends too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

SettingsType = TypeVar("SettingsType", "PageSettings", "WorkerSettings")


@dataclass(frozen=True)
class PageSettings:
    """For `webui/webui.py`.

    Attributes:
        listen_fd: inherited listening socket (POSIX), or ``None``: bind ``host``:``port`` (Windows).
        token: secret that opens everything; empty on loopback without one.
        users: name and token of each further one who may come in.
        trusted_proxies: addresses and networks of reverse proxies that say who asks.
        tls_cert, tls_key: files in PEM form; empty: plain HTTP.
        audit_dir: where the audit log is kept; empty: nowhere.
        ended_sessions: file with the sessions that were ended before their time; empty: in memory alone.
        rate_limit: requests of one client in a minute that speak or change something.
        max_connections: at the same time.
        temp_bytes, temp_hours: what may lie in ``temp_dir``, and how long.
        allowed_hosts: names and addresses that a Host header may carry, without port; ``*`` allows any.
        engine_address, control_address: as `launcher.channel` writes addresses.
        further_engine_addresses: of the engines beside the first; `engine_token` is theirs, too.
        temp_dir: private folder (0700) for uploads and Gradio.
        queue_size: requests that may wait; one more is answered 429.
        stop_grace_s: seconds that speech in progress may take when the page is told to end.
        log_dir: where the log lies; empty: it is not shown.
        library_dir: where voices, presets, glossary and history are kept; empty: nowhere.
        history, history_bytes: whether takes are kept, and how much sound of them.
        jobs_dir: where jobs and their results are kept; empty: nowhere.
        batch_bytes: how much sound of jobs is kept.
    """

    instance: str
    version: str
    host: str
    port: int
    engine_address: str
    control_address: str
    temp_dir: str
    listen_fd: int | None = None
    token: str = ""
    engine_token: str = ""
    control_token: str = ""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "::1")
    root_path: str = ""
    max_text_chars: int = 20_000
    max_body_bytes: int = 32 * 1024 * 1024
    queue_size: int = 32
    stop_grace_s: float = 0.0
    log_dir: str = ""
    users: tuple[tuple[str, str], ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    audit_dir: str = ""
    ended_sessions: str = ""
    rate_limit: int = 600
    max_connections: int = 512
    temp_bytes: int = 2 * 10**9
    temp_hours: int = 24
    library_dir: str = ""
    history: bool = True
    history_bytes: int = 2 * 10**9
    jobs_dir: str = ""
    batch_bytes: int = 4 * 10**9
    further_engine_addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkerSettings:
    """For `python -m webui.engine.worker`.

    Attributes:
        engine: registry name.
        component: what the supervisor calls this engine among several.
        address: where to serve, as `launcher.channel` writes addresses.
        token: secret that every request needs; empty on a Unix socket.
        cache_dir: the pinned cache's root (the folder that holds ``huggingface/``, ``kokoro/``...).
        device: ``auto``, ``cpu`` or ``cuda:N``.
        threads: of the inference library; 0 lets it choose.
        options: what else the engine may be told, as text (``precision``: ``auto``); each engine says which it reads.
    """

    instance: str
    engine: str
    address: str
    control_address: str
    cache_dir: str
    token: str = ""
    control_token: str = ""
    device: str = "auto"
    threads: int = 0
    component: str = "engine"
    options: dict[str, str] = field(default_factory=dict)


def parse_settings(kind: type[SettingsType], line: str) -> SettingsType:
    """The settings from the JSON line; unknown keys are ignored, so that versions may differ during an upgrade.

    Raises:
        ValueError: when the line is no JSON object or a required key is missing.
    """
    data: Any = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError("the first line of standard input is no JSON object")
    known = {field.name for field in fields(kind)}
    values: dict[str, Any] = {name: _frozen(value) for name, value in data.items() if name in known}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"the first line of standard input lacks a setting: {error}") from None


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
