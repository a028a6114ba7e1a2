"""What every request passes first; `gate.Guard` is the middleware around the whole application."""

from webui.guard.gate import Guard, Limits
from webui.guard.headers import CONTENT_SECURITY_POLICY, SECURITY_HEADERS

__all__ = ["CONTENT_SECURITY_POLICY", "SECURITY_HEADERS", "Guard", "Limits"]
