"""Names of files that a browser saves."""

from __future__ import annotations

from urllib.parse import quote


def attachment(name: str) -> dict[str, str]:
    """The header that makes an answer a file of this name (RFC 6266), in whatever script it is written."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
