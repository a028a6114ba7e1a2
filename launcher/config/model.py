"""The frozen result of loading the settings.

Invariant: neither ``repr`` nor `SettingValue` ever holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SettingValue:
    """One setting as people may see it.

    Attributes:
        name: as the environment spells it.
        shown: the value; ``********`` instead of a secret, empty when it is not set.
        source: ``flag``, ``environment``, ``.env`` or ``default``.
    """

    name: str
    shown: str
    source: str


@dataclass(frozen=True, repr=False)
class Config:
    """Every setting, checked. See `launcher.config.keys` for what each one means.

    Attributes:
        port: 0 takes a free one, 7860 preferred.
        token: empty when there is none, which only a loopback ``host`` may have.
        allowed_hosts: names without port; holds ``*`` when any name is allowed.
        root_path: empty, or starts with ``/`` and does not end with one.
        threads: 0 lets the engine choose.
        data_dir: absolute.
        stop_grace_s, restart_window_s: seconds.
        mirrors: a checked list or the absolute path of a ``.toml`` file; see `launcher.hub.endpoints`.
        standard: what the user set (environment or ``.env``) of the standard names, and whatever else stands in
            ``.env``; for the children.
        values: every key of the table, in its order.
        dotenv_path: the ``.env`` that was read; ``None`` when there was none.
        warnings: one sentence each.
    """

    instance: str
    host: str
    port: int
    token: str
    allowed_hosts: tuple[str, ...]
    root_path: str
    engine: str
    device: str
    threads: int
    data_dir: Path
    open_browser: str
    log_level: str
    log_max_bytes: int
    log_files: int
    stop_grace_s: float
    restart_limit: int
    restart_window_s: float
    max_text_chars: int
    max_body_bytes: int
    queue_size: int
    mirrors: str
    allow_http_mirrors: str
    standard: Mapping[str, str]
    values: tuple[SettingValue, ...]
    dotenv_path: Path | None
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        shown = ", ".join(f"{value.name}={value.shown!r}" for value in self.values if value.source != "default")
        return f"Config({shown})"
