"""Something to double-click: a desktop entry, a Windows link, a macOS application; each calls ``tts-launcher open``.

Invariants: rendering is pure; a shortcut that is there and differs is ours to replace when it says that it is.
"""
