"""tts-launcher: start, supervise and stop a text-to-speech WebUI.

Importing this package loads nothing else; every module below it is imported by whoever needs it.
"""

__version__ = "0.1.0"
