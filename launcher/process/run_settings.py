"""What a supervisor needs to know of the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.access import AccessRules
from launcher.access.audit import AuditLog
from launcher.access.clients import Network
from launcher.process.health import Patience
from launcher.process.snapshot import PAGE

if TYPE_CHECKING:
    import ssl

#: An engine that is busy computing ends within this; `stop` may ask for more or less.
DEFAULT_GRACE_S = 10.0


@dataclass(frozen=True)
class Settings:
    """What a supervisor needs to know.

    Attributes:
        rules: who may use the port.
        root_path: path under which a reverse proxy shows everything.
        trusted: reverse proxies that say who asks.
        tls: makes the port speak HTTPS.
        audit: gets logins and refusals.
        stop_grace_s: seconds that children get to end.
        restart_limit, restart_window_s: the crash budget of each child.
        patience: how long a child may be silent.
        front: the child that answers on the port: `PAGE` or `APP`.
    """

    rules: AccessRules
    root_path: str = ""
    trusted: tuple[Network, ...] = ()
    tls: ssl.SSLContext | None = None
    audit: AuditLog = field(default_factory=lambda: AuditLog(None))
    stop_grace_s: float = DEFAULT_GRACE_S
    restart_limit: int = 5
    restart_window_s: float = 60.0
    patience: Patience = field(default_factory=Patience)
    front: str = PAGE
