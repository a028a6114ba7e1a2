"""The launcher as a service that starts with the machine or with the user's session: systemd, launchd, Windows tasks.

Invariants: units are rendered from one `ServiceSpec` by pure functions; nothing is overwritten unseen; secrets stay in
the settings file and never enter a unit.
"""
