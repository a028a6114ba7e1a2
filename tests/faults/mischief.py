"""What people and machines do to an instance besides ending its processes; each lasts a moment and is taken back."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from tests.faults.scenarios import connect, not_reading
from tests.faults.tones import speak

#: How long one lasts.
MOMENT_S = 3.0
CROWD = 100
#: Left free of a disk that is full: what was being written when the last block went.
_BLOCK_BYTES = 65536


class Mischief:
    """Does it to one instance.

    Args:
        url: of the instance.
        control_address: of its control socket.
        data_dir: its data folder.
        pids: of the components, asked for when they are needed.
        fills_disk: whether ``data_dir`` is a disk of its own, which may be filled.
    """

    def __init__(
        self,
        url: str,
        control_address: str,
        data_dir: Path,
        pids: Callable[[], Mapping[str, int]],
        *,
        fills_disk: bool,
    ) -> None:
        self._url = url
        self._control_path = control_address.removeprefix("unix:")
        self._data_dir = data_dir
        self._pids = pids
        self.kinds: dict[str, Callable[[], None]] = {
            "hang page": lambda: self._stop("page"),
            "hang engine": lambda: self._stop("engine"),
            "slow readers": self._slow_readers,
            "half-open sockets": self._half_open,
            "a crowd": self._crowd,
            "nonsense on the control socket": self._nonsense,
            **({"full disk": self._fill} if fills_disk else {}),
        }

    def _stop(self, component: str) -> None:
        """It hangs until the supervisor ends it."""
        pid = self._pids().get(component)
        if pid:
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                process = psutil.Process(pid)
                os.kill(pid, signal.SIGSTOP)
                process.wait(60)

    def _slow_readers(self) -> None:
        with contextlib.suppress(OSError), not_reading(self._url, 10):
            time.sleep(MOMENT_S)

    def _half_open(self) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    sock = stack.enter_context(connect(self._url))
                    sock.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nHost: local")
            time.sleep(MOMENT_S)

    def _crowd(self) -> None:
        threads = [threading.Thread(target=speak, args=(self._url, "one"), daemon=True) for _ in range(CROWD)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _nonsense(self) -> None:
        for nonsense in (b"\0" * 1000, b"{}\n[]\n5\n", b'{"command": 5}\n', b"{" * 2_000_000):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
                sock.connect(self._control_path)
                sock.sendall(nonsense)

    def _fill(self) -> None:
        filler = self._data_dir / "filler"
        try:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(b"\0" * _BLOCK_BYTES)
            time.sleep(MOMENT_S)
        finally:
            filler.unlink()
