"""The run file: what a supervisor says about itself to everybody who comes later, and the lock that proves it lives.

Invariants: the lock is the kernel's, so it is gone the moment its holder is, however it died; one holder at a time
and only the holder writes the run file; readers see an old or a new record and never half of one; the file holds
tokens and is readable by its owner alone; a damaged file is kept aside and never believed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from launcher.errors import StartError, StorageError

#: For files that only their owner may use.
OTHER_USER_FIX = "Give the command as the user whose instance it is (sudo -u USER ...), or choose another --data-dir."
RunState = Literal["absent", "running", "crashed"]

#: A record has about 600 bytes; what is far larger is not ours and is not read into memory.
_MAX_RECORD_BYTES = 256 * 1024
#: `RunFile.state` holds a shared lock for microseconds; an attempt that collides with it tries again for this long.
_LOCK_PATIENCE_S = 0.5
#: Windows forbids reading a locked byte, so the lock lies far behind the text.
_WINDOWS_LOCK_OFFSET = 1 << 30


class AlreadyRunningError(StartError):
    """Another supervisor holds the instance's lock.

    Args:
        message: one sentence: which instance, and who holds it.
        fix: one sentence: what to do about it.
        pid: the holder's number; 0 when it is unknown.
        created_at: when the holder was created, in seconds since 1970; 0.0 when it is unknown.
    """

    def __init__(self, message: str, *, fix: str = "", pid: int = 0, created_at: float = 0.0) -> None:
        super().__init__(message, fix=fix)
        self.pid = pid
        self.created_at = created_at


@dataclass(frozen=True)
class RunRecord:
    """What the supervisor writes about a run.

    Attributes:
        mark: `LAUNCHER_INSTANCE_MARK` of every child of this run.
        supervisor_created_at: creation time of the supervisor's process, in seconds since 1970.
        control_address: as `launcher.channel` writes addresses.
        control_token: secret of the control socket; empty on a Unix socket.
        token: secret of the page; never printed.
        started_at: seconds since 1970.
        children: component -> (pid, creation time).
    """

    instance: str
    mark: str
    supervisor_pid: int
    supervisor_created_at: float
    host: str = ""
    port: int = 0
    url: str = ""
    control_address: str = ""
    control_token: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    started_at: float = 0.0
    version: str = ""
    children: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    log_dir: str = ""

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object; keys are the attribute names. It holds the secrets."""
        return {**asdict(self), "children": {name: list(child) for name, child in self.children.items()}}

    @classmethod
    def from_json(cls, data: Any) -> RunRecord:
        """The record from `to_json`'s object; unknown keys are ignored, later keys may be missing.

        Raises:
            ValueError: when it is no such object.
        """
        if not isinstance(data, dict):
            raise ValueError("the run record is no JSON object")
        try:
            values = {name: _EXPECT[kind](data[name]) for name, kind in _field_kinds() if name in data}
            return cls(**values)
        except (TypeError, KeyError) as error:
            raise ValueError(f"the run record lacks or garbles a value: {error}") from None


def _expect_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is no text")
    return value


def _expect_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r:.60} is no number")
    return float(value)


def _expect_integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r:.60} is no whole number")
    return value


def _expect_children(value: Any) -> dict[str, tuple[int, float]]:
    if not isinstance(value, dict):
        raise TypeError("children is no object")
    for child in value.values():
        if not isinstance(child, list) or len(child) != 2:
            raise TypeError("a child is no pair of pid and creation time")
    return {name: (_expect_integer(child[0]), _expect_number(child[1])) for name, child in value.items()}


_EXPECT: dict[str, Any] = {
    "str": _expect_text,
    "int": _expect_integer,
    "float": _expect_number,
    "Mapping[str, tuple[int, float]]": _expect_children,
}


def _field_kinds() -> list[tuple[str, str]]:
    """Each attribute's name and its annotation, which is text here."""
    return [(each.name, str(each.type)) for each in fields(RunRecord)]


class RunFile:
    """The run file of one instance and its lock.

    Args:
        path: the run file; its folder exists when something is written.
        lock_path: the lock's file; it is made when needed and never removed.
    """

    def __init__(self, path: Path, lock_path: Path) -> None:
        self.path = path
        self.lock_path = lock_path
        self._write_lock = threading.Lock()

    @contextlib.contextmanager
    def lock(self, *, created_at: float = 0.0) -> Iterator[None]:
        """Holds the instance for as long as the context lasts; the kernel releases it when this process dies.

        A process that this one starts does not inherit the lock.

        Args:
            created_at: creation time of this process, noted in the lock's file for whoever finds the lock held.

        Raises:
            AlreadyRunningError: when another process holds it.
            StorageError: when the lock's file cannot be made or its filesystem has no locks.
        """
        descriptor = self._open_lock()
        try:
            self._acquire(descriptor)
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, json.dumps({"pid": os.getpid(), "created_at": created_at}).encode())
            yield
        finally:
            os.close(descriptor)

    def state(self) -> RunState:
        """``running`` while a supervisor holds the lock (its record may follow a moment later), ``crashed`` when one
        left its record and no longer lives, else ``absent``.

        Raises:
            StorageError: when it is another user's, so that nothing can be said.
        """
        try:
            descriptor = os.open(self.lock_path, os.O_RDWR)
        except PermissionError as error:
            raise StorageError(
                f"The lock file {self.lock_path} cannot be opened: {error.strerror}.", fix=OTHER_USER_FIX
            ) from None
        except OSError:
            held = False
        else:
            try:
                held = not _try_lock(descriptor, shared=True)
            except OSError:
                held = False
            finally:
                os.close(descriptor)
        if held:
            return "running"
        return "crashed" if self.path.exists() else "absent"

    def holder(self) -> tuple[int, float]:
        """Pid and creation time that the last holder of the lock noted; ``(0, 0.0)`` when it noted none."""
        try:
            data = json.loads(self.lock_path.read_bytes()[:4096])
            return _expect_integer(data["pid"]), _expect_number(data["created_at"])
        except (OSError, ValueError, TypeError, KeyError):
            return 0, 0.0

    def read(self) -> RunRecord | None:
        """The record, or ``None`` when there is none; a damaged file is renamed to ``<name>.corrupt``.

        Raises:
            StorageError: when the file is there and may not be read.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(_MAX_RECORD_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(
                f"The run file {self.path} cannot be read: {error.strerror}.",
                fix="Give yourself the right to read it, or choose another folder with --data-dir.",
            ) from None
        try:
            if len(data) > _MAX_RECORD_BYTES:
                raise ValueError("the run file is too large")
            return RunRecord.from_json(json.loads(data))
        except (ValueError, RecursionError):
            with contextlib.suppress(OSError):
                self.path.replace(f"{self.path}.corrupt")
            return None

    def write(self, record: RunRecord) -> None:
        """Puts the record in place at once and durably, mode 0600; callers hold the lock.

        Raises:
            StorageError: when it cannot be written; the previous record is then still there.
        """
        data = json.dumps(record.to_json(), ensure_ascii=False, indent=1).encode()
        temporary = self.path.with_name(f"{self.path.name}.new")
        with self._write_lock:
            try:
                temporary.unlink(missing_ok=True)
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(self.path)
            except OSError as error:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise StorageError(
                    f"The run file {self.path} cannot be written: {error.strerror}.",
                    fix="Free space or grant the right to write there, or choose another folder with --data-dir.",
                ) from None

    def clear(self) -> None:
        """Removes the record; nothing happens when there is none.

        Raises:
            StorageError: when it may not be removed.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"The run file {self.path} cannot be removed: {error.strerror}.",
                fix="Grant yourself the right to write in its folder, then remove the file.",
            ) from None

    def _open_lock(self) -> int:
        try:
            # Python opens descriptors close-on-exec: a child cannot keep the lock.
            return os.open(self.lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(
                f"The lock file {self.lock_path} cannot be opened: {error.strerror}.",
                fix="Grant yourself the right to write there, or choose another folder with --data-dir.",
            ) from None

    def _acquire(self, descriptor: int) -> None:
        deadline = time.monotonic() + _LOCK_PATIENCE_S
        try:
            while not _try_lock(descriptor, shared=False):
                if time.monotonic() >= deadline:
                    raise self._already_running()
                time.sleep(0.01)
        except OSError as error:
            raise StorageError(
                f"The lock file {self.lock_path} cannot be locked: {error.strerror}.",
                fix="Choose a folder on a local disk with --data-dir.",
            ) from None

    def _already_running(self) -> AlreadyRunningError:
        pid, created_at = self.holder()
        who = f"pid {pid}" if pid else "another process"
        return AlreadyRunningError(
            f"The instance is held by {who} already (lock {self.lock_path}).",
            fix="Use the running one, stop it with `tts-launcher stop`, or choose another name with --instance.",
            pid=pid,
            created_at=created_at,
        )


def _try_lock(descriptor: int, *, shared: bool) -> bool:
    """Takes the lock if it is free.

    Raises:
        OSError: when the filesystem has no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _WINDOWS_LOCK_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
