"""Our icon in each system's format, made from one picture: the same PNG in an .ico or .icns container.

Invariant: a container holds the picture's bytes unchanged; nothing is drawn at run time.
"""

from __future__ import annotations

import struct
from importlib import resources

#: Width and height of ``icon.png`` in pixels.
SIZE_PX = 256


def svg() -> bytes:
    """The drawing itself, for Linux desktops."""
    return resources.files("launcher.shortcut").joinpath("icon.svg").read_bytes()


def png() -> bytes:
    """The picture, `SIZE_PX` square."""
    return resources.files("launcher.shortcut").joinpath("icon.png").read_bytes()


def ico(picture: bytes) -> bytes:
    """A Windows icon with one 256-pixel PNG (a size of 0 means 256; PNG is understood since Windows Vista)."""
    header = struct.pack("<HHH", 0, 1, 1)
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(picture), 6 + 16)
    return header + entry + picture


def icns(picture: bytes) -> bytes:
    """A macOS icon with one 256-pixel PNG (type ``ic08``)."""
    entry = b"ic08" + struct.pack(">I", 8 + len(picture)) + picture
    return b"icns" + struct.pack(">I", 8 + len(entry)) + entry
