"""Checks of the machine: clock, file limits, ffmpeg."""

from __future__ import annotations

import shutil
import struct
import sys
import time
from pathlib import Path

from launcher.cache.layout import instance_paths
from launcher.doctor.finding import FAILED, OK, WARNING, Finding, Ground

#: Connections of a fetch (16 per mirror), of the page's visitors, weight files and libraries; systemd's and most
#: shells' own default.
MIN_OPEN_FILES = 1024
#: A file's time may be rounded up, and another host's clock (a shared folder) may be a little ahead.
_CLOCK_SLACK_S = 120.0
#: Of `adjtimex`: the kernel has not been told the time by anybody (include/uapi/linux/timex.h).
_STA_UNSYNC = 0x0040


def check_clock(ground: Ground) -> Finding:
    """The clock is not behind what it said when our own files were written."""
    now = time.time()
    newest = _newest(ground)
    shown = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(now))
    if newest - now > _CLOCK_SLACK_S:
        late = f"{shown}, but files here are from {(newest - now) / 60:,.0f} minutes later"
        return Finding("Clock", FAILED, late, "Set the clock: encrypted connections and signed addresses need it.")
    note = ", not kept by a time server" if _is_unsynchronised() else ""
    return Finding("Clock", OK, f"{shown}{note}")


def _newest(ground: Ground) -> float:
    """When the newest of our files was written, in seconds since 1970."""
    paths = instance_paths(ground.config)
    files = [Path(__file__), ground.config.data_dir, paths.run_file, paths.log_dir / "launcher.log"]
    times = [0.0]
    for path in files:
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times)


def _is_unsynchronised() -> bool:
    """Whether Linux says that its clock is kept by nobody; false where that is not known."""
    if sys.platform != "linux":
        return False
    import ctypes

    # struct timex begins: unsigned int modes; long offset, freq, maxerror, esterror; int status. Modes 0 only reads.
    fields = "@Illlli"
    buffer = ctypes.create_string_buffer(512)
    try:
        answer = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return False
    return answer >= 0 and bool(struct.unpack_from(fields, buffer)[-1] & _STA_UNSYNC)


def check_open_files(ground: Ground) -> Finding:
    """How many files a process may hold open."""
    if sys.platform == "win32":
        return Finding("File limits", OK, "no limit that matters on this system")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    if soft != resource.RLIM_INFINITY and soft < MIN_OPEN_FILES:
        allowed = hard == resource.RLIM_INFINITY or hard >= MIN_OPEN_FILES
        fix = (
            f"Run `ulimit -n {MIN_OPEN_FILES * 4}` before the start (LimitNOFILE= in a systemd unit)."
            if allowed
            else "Raise the hard limit in /etc/security/limits.conf, or with LimitNOFILE= in a systemd unit."
        )
        return Finding("File limits", WARNING, f"{shown} open files", fix)
    return Finding("File limits", OK, f"{shown} open files")


def check_ffmpeg(ground: Ground) -> Finding:
    """Whether ffmpeg is there, which nothing of ours needs."""
    found = shutil.which("ffmpeg")
    return Finding("ffmpeg", OK, found or "not installed; only reference recordings in rare formats need it")
