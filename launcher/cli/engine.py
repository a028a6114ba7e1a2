"""``engine``: which speech engines there are, their environments, and the running one's memory."""

from __future__ import annotations

from launcher.cli.app import CommandEntry, LazyGroup

#: Name to place; a command's module is imported when it is asked for.
COMMANDS: dict[str, CommandEntry] = {
    "ls": CommandEntry("launcher.cli.engine_show:list_command", "Show the engines, what each lacks, and the GPUs."),
    "install": CommandEntry("launcher.cli.engine_install:command", "Make an engine's own environment."),
    "rm": CommandEntry("launcher.cli.engine_install:remove_command", "Remove an engine's environment."),
    "load": CommandEntry("launcher.cli.engine_memory:load_command", "Start the engine again after unload."),
    "unload": CommandEntry("launcher.cli.engine_memory:unload_command", "End the engine; all its memory comes back."),
    "reload": CommandEntry("launcher.cli.engine_memory:reload_command", "End the engine and start it anew."),
}


command = LazyGroup(
    COMMANDS,
    name="engine",
    help="Show, install and remove speech engines; load and unload the running one. See docs/engines.md.",
)
