"""Attributes replaced for a while and always put back.

Invariant: what stands there afterwards is the very object that stood there before, also after an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_MISSING = object()


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Puts ``value`` in the place of ``owner.name`` until the block ends.

    Args:
        owner: a module or class.
        name: an attribute that it has.
        value: what stands there meanwhile.
    """
    own = vars(owner).get(name, _MISSING)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
