"""``logs``: what supervisor, page and engine have said, and with ``-f`` what they say from now on."""

from __future__ import annotations

import threading

import click

from launcher.cache.layout import instance_paths
from launcher.cli.app import Context
from launcher.process.log_reader import follow, read_lines


@click.command(name="logs", help="Show the logs, or follow them with -f; they are kept after a stop.")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with every line as it comes, until Ctrl-C.")
@click.option("--component", type=click.Choice(["supervisor", "page", "engine"]), help="Only this one's lines.")
@click.option("-n", "--lines", type=click.IntRange(0), default=200, show_default=True, help="How many old lines.")
@click.pass_obj
def command(context: Context, following: bool, component: str | None, lines: int) -> None:
    """Prints log lines."""
    log_dir = instance_paths(context.load_config()).log_dir
    if following:
        for line in follow(log_dir, component=component, stop=threading.Event(), last=lines):
            context.output.line(line)
        return
    found = read_lines(log_dir, component=component, last=lines) if lines else []
    for line in found:
        context.output.line(line)
    if not found:
        context.output.note(f"There are no such lines in {log_dir}.")
