"""From flags, environment and ``.env`` to one `Config`.

Invariants: a flag wins over the environment, the environment over ``.env``, ``.env`` over the default; an empty value
is no value; every problem is reported at once; what is wrong never repeats a secret.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.access.hosts import ANY_ADDRESS, ANY_HOST, LOOPBACK_NAMES
from launcher.config.dotenv_file import DotenvFile, read_dotenv
from launcher.config.keys import INTERNAL_NAMES, KEYS, KEYS_BY_NAME, PREFIX, Key
from launcher.config.model import Config, SettingValue
from launcher.config.parsers import MAKE_TOKEN, BadValue, absolute_path, is_loopback
from launcher.errors import ConfigError

MASK = "********"
APP_NAME = "tts-launcher"
#: Settings whose empty value is an empty tuple.
_LISTS = frozenset(
    {"LAUNCHER_ALLOWED_HOSTS", "LAUNCHER_GPU", "LAUNCHER_MODELS", "LAUNCHER_USERS", "LAUNCHER_TRUSTED_PROXIES"}
)
_OFFICIAL_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class _Found:
    """A setting's text, where it came from, and the folder that a relative path starts from."""

    text: str
    source: str
    base: Path


@dataclass(frozen=True)
class _Sources:
    """Where settings come from, strongest first: flags, environment, ``.env``."""

    flags: Mapping[str, str | None]
    environ: Mapping[str, str]
    dotenv: Mapping[str, str]
    cwd: Path
    dotenv_dir: Path

    def find(self, key: Key) -> _Found:
        """The strongest source's text for ``key``, stripped; the default when none has any."""
        flag = (self.flags.get(key.name) or "").strip()
        if flag:
            return _Found(flag, "flag", self.cwd)
        from_environ = self.environ.get(key.name)
        if from_environ is not None and (from_environ.strip() or key.empty_counts):
            return _Found(from_environ.strip(), "environment", self.cwd)
        from_dotenv = self.dotenv.get(key.name, "").strip()
        if from_dotenv:
            return _Found(from_dotenv, ".env", self.dotenv_dir)
        return _Found(key.default, "default", self.cwd)


@dataclass
class _Report:
    """Problems and warnings, in the order in which they were found; a problem is (message, fix)."""

    problems: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def error(self) -> ConfigError:
        """All problems as one error, one line each."""
        if len(self.problems) == 1:
            message, fix = self.problems[0]
            return ConfigError(message, fix=fix)
        return ConfigError("\n".join(f"{message} {fix}".strip() for message, fix in self.problems))


def load(environ: Mapping[str, str], dotenv_path: Path | None, flags: Mapping[str, str | None]) -> Config:
    """The settings.

    Args:
        environ: the environment, as `os.environ`.
        dotenv_path: the settings file, which must exist; ``None`` takes ``./.env`` if there is one.
        flags: setting name to text; ``None`` is a flag that was not given.

    Raises:
        ConfigError: naming every bad value, unknown key and malformed line, one line each with its fix.
    """
    report = _Report()
    cwd = _current_folder()
    path = (cwd / ".env") if dotenv_path is None else Path(os.path.normpath(cwd / dotenv_path))
    dotenv = _read(path, environ, report, must_exist=dotenv_path is not None)
    _report_unknown(environ, dotenv, path, report)
    sources = _Sources(flags, environ, dotenv.values if dotenv else {}, cwd, path.parent)
    found = {key.name: sources.find(key) for key in KEYS}
    parsed = {key.name: _parse(key, found[key.name], report) for key in KEYS}
    if "LAUNCHER_DATA_DIR" in parsed and not parsed["LAUNCHER_DATA_DIR"]:
        parsed["LAUNCHER_DATA_DIR"] = _default_data_dir(report)
    _check_together(found, parsed, report)
    if report.problems:
        raise report.error()
    return _build(found, parsed, sources, None if dotenv is None else path, report)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise ConfigError("The current folder no longer exists.", fix="Change to one that does.") from None


def _read(path: Path, environ: Mapping[str, str], report: _Report, *, must_exist: bool) -> DotenvFile | None:
    try:
        dotenv = read_dotenv(path, environ)
    except FileNotFoundError:
        if must_exist:
            report.problems.append(
                (f"--env-file {path} does not exist.", "Name an existing file, or copy .env.example there.")
            )
        return None
    report.problems += [(problem, "") for problem in dotenv.problems]
    report.warnings += dotenv.repeated
    return dotenv


def _report_unknown(environ: Mapping[str, str], dotenv: DotenvFile | None, path: Path, report: _Report) -> None:
    for name in environ:
        if name.startswith(PREFIX) and name not in KEYS_BY_NAME and name not in INTERNAL_NAMES:
            report.problems.append((f"{name} (environment) is not a setting.", _nearest_fix(name)))
    for name, value in dotenv.values.items() if dotenv else ():
        if name in KEYS_BY_NAME or name in INTERNAL_NAMES:
            continue
        place = f"{path} line {dotenv.lines[name] if dotenv else 0}"
        if name.upper().startswith(PREFIX):
            report.problems.append((f"{name} ({place}) is not a setting.", _nearest_fix(name)))
            continue
        if "\0" in value:
            report.problems.append((f"{name} ({place}) holds a NUL character.", "Remove it."))
        near = _nearest(name, cutoff=0.85)
        if near:
            report.warnings.append(f"{name} ({place}) goes to the children as it is; did you mean {near}?")


def _nearest(name: str, cutoff: float) -> str:
    from difflib import get_close_matches

    # Without the prefix, which would make everything alike.
    names = {known.removeprefix(PREFIX): known for known in KEYS_BY_NAME}
    matches = get_close_matches(name.upper().removeprefix(PREFIX), names, n=1, cutoff=cutoff)
    return names[matches[0]] if matches else ""


def _nearest_fix(name: str) -> str:
    near = _nearest(name, cutoff=0.6)
    if near:
        return f"Did you mean {near}? Rename or remove it."
    return "Remove it; docs/configuration.md lists every setting."


def _parse(key: Key, found: _Found, report: _Report) -> Any:
    """The value; the empty default's is empty, and a bad one is reported and ``None``."""
    if not found.text:
        return () if key.name in _LISTS else ""
    try:
        if any(ord(character) < 32 or ord(character) == 127 for character in found.text):
            raise BadValue("holds a control character.", "Remove it; a line break needs to go too.")
        is_path = key.is_path or (key.path_suffix and found.text.endswith(key.path_suffix) and "://" not in found.text)
        text = absolute_path(found.text, found.base) if is_path else found.text
        return Path(text) if key.name == "LAUNCHER_DATA_DIR" else key.parse(text)
    except BadValue as bad:
        shown = key.name if _hides_value(key, found.text) else f"{key.name}={_shorten(found.text)!r}"
        report.problems.append((f"{shown} ({found.source}) {bad.problem}", bad.fix))
        return None


def _hides_value(key: Key, text: str) -> bool:
    return key.secret or "@" in text or "token=" in text.lower()  # credentials inside an address or an option


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _default_data_dir(report: _Report) -> Path | None:
    from platformdirs import user_data_dir

    try:
        folder = user_data_dir(APP_NAME, appauthor=False)
    except RuntimeError:  # platformdirs 4.14; older ones return the ~ as it is
        folder = ""
    if not Path(folder).is_absolute():
        report.problems.append(
            ("LAUNCHER_DATA_DIR has no default, because there is no home folder.", "Set it to a folder that is kept.")
        )
        return None
    return Path(folder)


def _check_together(found: Mapping[str, _Found], parsed: dict[str, Any], report: _Report) -> None:
    """The rules that need more than one setting."""
    host, hosts = parsed["LAUNCHER_HOST"], parsed["LAUNCHER_ALLOWED_HOSTS"]
    has_token = bool(found["LAUNCHER_TOKEN"].text or found["LAUNCHER_USERS"].text)
    if host and not has_token and not is_loopback(host):
        if parsed["LAUNCHER_INSECURE"] == "yes":
            report.warnings.append(
                f"LAUNCHER_HOST={host!r} is open to the network and LAUNCHER_INSECURE lets everybody in."
            )
        else:
            report.problems.append(
                (
                    f"LAUNCHER_HOST={host!r} ({found['LAUNCHER_HOST'].source}) is open to the network without a token.",
                    f"Set LAUNCHER_TOKEN or LAUNCHER_USERS, use 127.0.0.1, or say --insecure. {MAKE_TOKEN}",
                )
            )
    if hosts and "*" in hosts and not has_token:
        report.problems.append(
            (
                "LAUNCHER_ALLOWED_HOSTS='*' lets any web page reach this machine without a token.",
                f"Set LAUNCHER_TOKEN, or list the names. {MAKE_TOKEN}",
            )
        )
    if bool(parsed["LAUNCHER_TLS_CERT"]) != bool(parsed["LAUNCHER_TLS_KEY"]):
        report.problems.append(
            ("Of LAUNCHER_TLS_CERT and LAUNCHER_TLS_KEY only one is set.", "Set both for HTTPS, or none.")
        )
    if found["TRANSFORMERS_CACHE"].text:
        report.warnings.append(
            "TRANSFORMERS_CACHE is no longer read by huggingface_hub, only by old libraries; set HF_HUB_CACHE as well."
        )
    endpoint = parsed["HF_ENDPOINT"]
    if endpoint and endpoint != _OFFICIAL_HUB and found["HF_TOKEN"].text:
        report.warnings.append(
            f"HF_TOKEN is sent to HF_ENDPOINT={endpoint}; remove the token unless you trust that site with it."
        )


def _allowed_hosts(host: str, listed: tuple[str, ...], *, has_token: bool) -> tuple[str, ...]:
    """The names that a Host header may carry.

    Beyond loopback nobody knows all names and addresses under which a machine is reached. With a token any name is
    allowed there without a list, because a page of another origin does not have it; without one any address is, because
    another site can lead its name here but not an address.
    """
    if not is_loopback(host) and not listed and has_token:
        return (ANY_HOST,)
    any_address = () if is_loopback(host) or has_token else (ANY_ADDRESS,)
    return tuple(dict.fromkeys((*LOOPBACK_NAMES, host, *any_address, *listed)))


def _build(
    found: Mapping[str, _Found],
    parsed: dict[str, Any],
    sources: _Sources,
    dotenv_path: Path | None,
    report: _Report,
) -> Config:
    standard = {
        name: value
        for name, value in sources.dotenv.items()
        if value and name not in KEYS_BY_NAME and not name.startswith(PREFIX) and not sources.environ.get(name)
    }
    for key in KEYS:
        if not key.is_ours and found[key.name].source != "default":
            standard[key.name] = str(parsed[key.name])
    own = {key.attribute: parsed[key.name] for key in KEYS if key.is_ours}
    has_token = bool(own["token"] or own["users"])
    own["allowed_hosts"] = _allowed_hosts(own["host"], own["allowed_hosts"], has_token=has_token)
    if own["gpu"]:  # who looks at one device only looks at the first one's
        own["device"] = f"cuda:{own['gpu'][0]}"
    return Config(
        **own,
        standard=standard,
        values=tuple(
            SettingValue(key.name, _shown(key, found[key.name], parsed[key.name]), found[key.name].source)
            for key in KEYS
        ),
        dotenv_path=dotenv_path,
        warnings=tuple(report.warnings),
    )


def _shown(key: Key, found: _Found, value: Any) -> str:
    if not found.text:
        return str(value) if key.name == "LAUNCHER_DATA_DIR" else ""
    if key.secret:
        return MASK
    if "@" in found.text and not key.is_path:  # user:password@host in a proxy's address
        return _without_credentials(found.text)
    return str(value) if key.is_path else found.text


def _without_credentials(address: str) -> str:
    scheme, separator, rest = address.rpartition("://")
    return f"{scheme}{separator}{MASK}@{rest.rpartition('@')[2]}"
