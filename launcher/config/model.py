"""The frozen result of loading the settings.

Invariant: neither ``repr`` nor `SettingValue` ever holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

#: What huggingface_hub takes for yes.
_TRUE = frozenset({"1", "true", "yes", "on"})
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def standard_secrets(values: Mapping[str, str]) -> tuple[str, ...]:
    """The Hub's token, and addresses of proxies that hold a password, of ``values`` (name to value)."""
    proxies = [values.get(spelling, "") for name in _PROXIES for spelling in (name, name.lower())]
    return (values.get("HF_TOKEN", ""), *(address for address in proxies if "@" in address))


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
        users: ``name:token`` each; see `user_tokens`.
        insecure: ``yes`` or ``no``: whether ``host`` may be open to a network without a token.
        allowed_hosts: names without port; holds ``*`` when any name is allowed, ``<address>`` when any address is.
        trusted_proxies: addresses and networks.
        tls_cert, tls_key: absolute paths; both or none are set.
        root_path: empty, or starts with ``/`` and does not end with one.
        engines: how many at least; see `devices`.
        gpu: numbers of the GPUs; empty when ``device`` says where to compute.
        threads: of each engine; 0 shares the usable cores among them.
        idle_unload: seconds; 0 never.
        app: ``builtin`` or the name of a profile.
        app_dir: absolute path; empty when the profile says it.
        engine_python, engine_dir, model_dir: absolute paths; empty when they are not set.
        models: names as `fetch` takes them.
        offline: ``yes`` or ``no``; see `is_offline`.
        history: ``yes`` or ``no``.
        alarm_urls: whom to tell of alarms, as apprise writes addresses.
        metrics_textfile: absolute path of the file for node_exporter; empty for none.
        data_dir: absolute.
        stop_grace_s, restart_window_s, hang_s: seconds.
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
    users: tuple[str, ...]
    insecure: str
    allowed_hosts: tuple[str, ...]
    root_path: str
    app: str
    app_dir: str
    trusted_proxies: tuple[str, ...]
    tls_cert: str
    tls_key: str
    engine: str
    device: str
    engines: int
    gpu: tuple[int, ...]
    threads: int
    precision: str
    qwen: str
    cuda_kernel: str
    quality: str
    idle_unload: float
    engine_python: str
    engine_dir: str
    model_dir: str
    models: tuple[str, ...]
    offline: str
    alarm_urls: tuple[str, ...]
    metrics_textfile: str
    data_dir: Path
    open_browser: str
    log_level: str
    log_max_bytes: int
    log_files: int
    log_days: int
    hang_s: float
    stop_grace_s: float
    restart_limit: int
    restart_window_s: float
    max_text_chars: int
    max_body_bytes: int
    queue_size: int
    rate_limit: int
    max_connections: int
    temp_bytes: int
    temp_hours: int
    history: str
    history_bytes: int
    batch_bytes: int
    mirrors: str
    allow_http_mirrors: str
    shared_cache: str
    package_index: str
    package_links: str
    torch_index: str
    standard: Mapping[str, str]
    values: tuple[SettingValue, ...]
    dotenv_path: Path | None
    warnings: tuple[str, ...]

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of each engine: as many as are asked for, and at least one on each GPU."""
        named = [f"cuda:{number}" for number in self.gpu] or [self.device]
        return tuple(named[index % len(named)] for index in range(max(self.engines, len(named))))

    @property
    def is_offline(self) -> bool:
        """Whether nothing may use the network: by our own setting or by that of the Hub's library."""
        return self.offline == "yes" or self.standard.get("HF_HUB_OFFLINE", "").lower() in _TRUE

    @property
    def is_cache_shared(self) -> bool | None:
        """Whether other machines fetch into the same cache; ``None`` when its file system decides."""
        return {"yes": True, "no": False}.get(self.shared_cache)

    @property
    def user_tokens(self) -> tuple[tuple[str, str], ...]:
        """Name and token of each user."""
        return tuple((name, token) for name, _, token in (entry.partition(":") for entry in self.users))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that no log and no message may show."""
        own = (self.token, *(token for _, token in self.user_tokens), *self.alarm_urls)
        return tuple(dict.fromkeys(filter(None, (*own, *standard_secrets(self.standard)))))

    @property
    def scheme(self) -> str:
        """Of the port's address: ``http`` or ``https``."""
        return "https" if self.tls_cert else "http"

    def to_json(self) -> dict[str, Any]:
        """Everything, secrets included, as a JSON object: for a child's standard input and nothing else."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        data["data_dir"] = str(self.data_dir)
        data["dotenv_path"] = None if self.dotenv_path is None else str(self.dotenv_path)
        data["standard"] = dict(self.standard)
        data["values"] = [[value.name, value.shown, value.source] for value in self.values]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Config:
        """The value from `to_json`'s object.

        Raises:
            TypeError: when a setting is missing or unknown.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        values["data_dir"] = Path(values["data_dir"])
        values["dotenv_path"] = None if values["dotenv_path"] is None else Path(values["dotenv_path"])
        values["values"] = tuple(SettingValue(*value) for value in values["values"])
        return cls(**values)

    def __repr__(self) -> str:
        shown = ", ".join(f"{value.name}={value.shown!r}" for value in self.values if value.source != "default")
        return f"Config({shown})"
