"""Who may send a request: the same rules on the loading page and on the page. Only the standard library.

`rules` decides about Host, Origin and credentials, `hosts` reads names, `credentials` knows tokens and sessions,
`clients` finds out who asks behind a proxy, `attempts` counts what may happen only so often, `audit` keeps a record.
"""

from launcher.access.credentials import COOKIE_NAME, login_cookie_header, session_cookie
from launcher.access.hosts import ANY_ADDRESS, ANY_HOST, LOOPBACK_NAMES, parse_host
from launcher.access.rules import API_PREFIXES, HEALTH_PATH, LOGIN_PATH, AccessRules, Denial, check

__all__ = [
    "ANY_ADDRESS",
    "ANY_HOST",
    "API_PREFIXES",
    "COOKIE_NAME",
    "HEALTH_PATH",
    "LOGIN_PATH",
    "LOOPBACK_NAMES",
    "AccessRules",
    "Denial",
    "check",
    "login_cookie_header",
    "parse_host",
    "session_cookie",
]
