"""``cache``: what is kept on this machine, where, in what state, and what may go. One file per group of commands."""

from __future__ import annotations

from launcher.cli.app import CommandEntry, LazyGroup

#: Name to place; a command's module is imported when it is asked for.
COMMANDS: dict[str, CommandEntry] = {
    "ls": CommandEntry("launcher.cli.cache_show:list_command", "Show the models in the cache and what needs them."),
    "where": CommandEntry("launcher.cli.cache_show:where_command", "Show where everything is kept, and on what."),
    "verify": CommandEntry("launcher.cli.cache_check:verify_command", "Check every file; 5 when one is damaged."),
    "repair": CommandEntry("launcher.cli.cache_check:repair_command", "Fetch the damaged files again."),
    "migrate": CommandEntry("launcher.cli.cache_move:migrate_command", "Bring an old cache into the pinned place."),
    "overlay": CommandEntry("launcher.cli.cache_share:overlay_command", "Put a read-only cache below the own one."),
    "share": CommandEntry("launcher.cli.cache_share:share_command", "Open the caches to a group of users."),
    "archive": CommandEntry("launcher.cli.cache_store:archive_command", "Move a model to another disk, compressed."),
    "restore": CommandEntry("launcher.cli.cache_store:restore_command", "Bring a model back from there, or a backup."),
    "backup": CommandEntry("launcher.cli.cache_store:backup_command", "Keep a second copy, incremental by content."),
    "prune": CommandEntry("launcher.cli.cache_prune:command", "Remove what nothing needs, after asking."),
}


command = LazyGroup(
    COMMANDS,
    name="cache",
    help="Show, check, mend and clear what is kept on this machine. See docs/caches.md.",
)
