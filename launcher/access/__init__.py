"""Who may send a request: the same rules on the loading page and on the page. Only the standard library.

`rules` decides about Host, Origin and credentials, `hosts` reads names, `credentials` knows tokens and sessions,
`ended` remembers who logged out, `clients` finds out who asks behind a proxy, `attempts` counts what may happen only so
often, `audit` keeps a record.
"""

from launcher.access.credentials import COOKIE_NAME, login_cookie_header, logout_cookie_header, session_cookie
from launcher.access.ended import EndedSessions
from launcher.access.hosts import ANY_ADDRESS, ANY_HOST, LOOPBACK_NAMES, parse_host
from launcher.access.rules import (
    API_PREFIXES,
    HEALTH_PATH,
    LOGIN_PATH,
    LOGOUT_PATH,
    AccessRules,
    Denial,
    check,
    end_sessions,
)

__all__ = [
    "ANY_ADDRESS",
    "ANY_HOST",
    "API_PREFIXES",
    "COOKIE_NAME",
    "HEALTH_PATH",
    "LOGIN_PATH",
    "LOGOUT_PATH",
    "LOOPBACK_NAMES",
    "AccessRules",
    "Denial",
    "EndedSessions",
    "check",
    "end_sessions",
    "login_cookie_header",
    "logout_cookie_header",
    "parse_host",
    "session_cookie",
]
