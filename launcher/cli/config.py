"""``config``: every setting with its source, every pinned path; secrets stay hidden."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from launcher.cache.layout import cache_dir, instance_paths, pins
from launcher.cli.app import Context
from launcher.config import Config, SettingValue
from launcher.config.keys import KEYS_BY_NAME


@click.command(name="config", help="Show every setting and where it came from, and where everything is kept.")
@click.pass_obj
def command(context: Context) -> None:
    """Prints the settings."""
    config = context.load_config()
    context.output.result(_as_json(config), lambda: _as_text(config))
    context.output.warnings(config.warnings)


def _paths(config: Config) -> dict[str, str]:
    paths = {name: str(path) for name, path in vars(instance_paths(config)).items()}
    return {"cache_dir": str(cache_dir(config)), **paths}


def _as_json(config: Config) -> dict[str, Any]:
    return {
        "settings": [
            {
                "name": value.name,
                "value": value.shown,
                "source": value.source,
                "description": KEYS_BY_NAME[value.name].english,
            }
            for value in config.values
        ],
        "caches": [asdict(pin) for pin in pins(config)],
        "paths": _paths(config),
        "env_file": str(config.dotenv_path) if config.dotenv_path else None,
        "warnings": list(config.warnings),
    }


def _nothing(value: SettingValue) -> str:
    return f"({KEYS_BY_NAME[value.name].default_note})" if value.source == "default" else "(empty)"


def _as_text(config: Config) -> str:
    pinned = {pin.name for pin in pins(config)}
    settings = [
        (value.name, value.shown or _nothing(value), value.source)
        for value in config.values
        if value.name not in pinned
    ]
    sections = (
        ("Settings", settings),
        ("Caches", [(pin.name, pin.path, pin.source) for pin in pins(config)]),
        ("Files", [(name, path, "") for name, path in _paths(config).items()]),
    )
    width = max(len(row[0]) for _, rows in sections for row in rows)
    lines = [f"Settings file: {config.dotenv_path or 'none'}"]
    for title, rows in sections:
        value_width = min(max(len(row[1]) for row in rows), 60)
        lines += ["", title, *(f"  {name:<{width}}  {value:<{value_width}}  {by}".rstrip() for name, value, by in rows)]
    return "\n".join(lines)
