"""``status``: what an instance is doing, as a table or as the snapshot itself.

Invariant: exit code 0 when it runs and 4 when it does not, so that a script needs no parsing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from launcher.cache.layout import instance_paths
from launcher.cli.app import Context
from launcher.cli.bars import plain
from launcher.errors import NotRunningError, StartError
from launcher.process.crash import SEE_REPORT, crash_line, read_reports
from launcher.process.instance import ask, find_running
from launcher.process.instances import find_instances
from launcher.process.runfile import RunFile
from launcher.progress import Progress


@click.command(name="status", help="Show what runs and how far it is; exit code 4 when nothing does.")
@click.option("--all", "every", is_flag=True, help="Every instance of the data folder.")
@click.pass_obj
def command(context: Context, *, every: bool) -> int:
    """Prints the status; returns the exit code."""
    config = context.load_config()
    if every:
        return _show_all(context, config.data_dir)
    paths = instance_paths(config)
    run_file = RunFile(paths.run_file, paths.lock_file)
    record = find_running(run_file)
    if record is None:
        state = "crashed" if run_file.state() == "crashed" else "stopped"
        crashes = [{**report, "lines": []} for report in read_reports(paths.log_dir)[:1]]
        text = f"Instance {config.instance!r} is not running"
        text += " (it crashed; the next start clears up)." if state == "crashed" else "."
        context.output.result(
            {"instance": config.instance, "state": state, "crashes": crashes}, "\n".join([text, *_crashes(crashes)])
        )
        return NotRunningError.exit_code
    snapshot = ask(record, "status")
    context.output.result(snapshot, lambda: _as_text(snapshot))
    return 0


def _show_all(context: Context, data_dir: Path) -> int:
    """A line for each instance; 0 when one runs."""
    shown: list[dict[str, Any]] = []
    for each in find_instances(data_dir):
        record = each.run_file.read() if each.state == "running" else None
        state = "stopped" if each.state == "absent" else each.state
        about: dict[str, Any] = {"instance": each.name, "state": state, "url": "", "pid": None}
        if record is not None:
            about |= {"url": record.url, "pid": record.supervisor_pid}
            try:
                about["state"] = ask(record, "status")["state"]
            except (NotRunningError, StartError):
                about["state"] = "silent"
        shown.append(about)
    lines = [f"{each['instance']:<16} {each['state']:<10} {each['url']}".rstrip() for each in shown]
    context.output.result({"instances": shown}, "\n".join(lines) or f"There is no instance in {data_dir}.")
    return 0 if any(each["pid"] is not None for each in shown) else NotRunningError.exit_code


def _as_text(snapshot: dict[str, Any]) -> str:
    about = f"{snapshot['instance']}  (version {snapshot['version']}, pid {snapshot['pid']}, "
    lines = [
        f"Instance  {about}up {_duration(snapshot['uptime_s'])})",
        f"Address   {snapshot['url']}",
        f"State     {snapshot['state']}",
    ]
    for name, component in snapshot["components"].items():
        lines.append(f"{name.capitalize():<9} {_component(component)}")
        choice = snapshot.get("choice") or {}  # an instance that runs since before an upgrade has none
        if name == "engine" and choice.get("name"):
            lines.append(f"          {choice['name']}: {choice['reason']}")
        error = component["error"]
        if error is not None:
            lines += [f"          {text}" for text in (error["message"], error["fix"]) if text]
    lines += _crashes(snapshot.get("crashes") or [])
    for warning in snapshot["warnings"]:
        lines.append(f"Warning   {warning['message']} {warning['fix']}".rstrip())
    return "\n".join(lines)


def _crashes(reports: list[dict[str, Any]]) -> list[str]:
    lines = [f"Crash     {crash_line(report)}" for report in reports]
    return [*lines, f"          {SEE_REPORT}"] if lines else []


def _component(component: dict[str, Any]) -> str:
    parts = [f"{component['state']:<10}"]
    if component["pid"] is not None:
        parts.append(f"pid {component['pid']}")
    if component["restarts"]:
        parts.append(f"restarts {component['restarts']}")
    if component["info"].get("name"):
        parts.append(str(component["info"]["name"]))
    progress = component["progress"]
    if progress is not None:
        parts.append(plain(Progress.from_json(progress)))
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"
