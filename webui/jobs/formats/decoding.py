"""A file's bytes as text, whatever wrote it.

Invariant: a file is decoded whole by one encoding that fits all of it, or refused; no character is replaced.
"""

from __future__ import annotations

import codecs

from launcher.errors import SpeechError

#: Largest file: 5,000 rows of 1,600 bytes.
MAX_FILE_BYTES = 8 * 1024 * 1024
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decode(data: bytes) -> tuple[str, str]:
    """The text, with ``\\n`` at the end of every line, and the name of its encoding.

    Raises:
        SpeechError: when it is too large, empty, or no text.
    """
    if len(data) > MAX_FILE_BYTES:
        raise SpeechError(
            f"The file has {len(data)} bytes, more than {MAX_FILE_BYTES}.",
            fix="Split it into several.",
            param="file",
            code="file_too_large",
            http_status=413,
        )
    if not data.strip():
        raise SpeechError("The file is empty.", fix="Give one with something to say.", param="file", code="empty_file")
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    # GB18030 holds all of GBK and GB2312, which Chinese editions of spreadsheets write.
    for name in [marked] if marked else ["utf-8", "gb18030"]:
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text.replace("\r\n", "\n").replace("\r", "\n"), name
    raise SpeechError("The file is neither UTF-8 nor GBK text.", fix="Save it as UTF-8.", param="file", code="not_text")
