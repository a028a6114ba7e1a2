"""Runs commands in children that die at a chosen moment: before a change of the disk, or at a byte of a file.

A driver process imports the launcher once and forks a child for each command. Invariants: the driver has no threads;
a child dies by SIGKILL (or by the kernel's SIGXFSZ at a byte), so that nothing of it can clean up.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
#: What changes the disk, as `sys.audit` names it.
CHANGES = frozenset(
    {"os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.utime", "shutil.rmtree"}
)


class Driver:
    """A context manager that starts the driver; ``run`` gives it a command."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        names = {name: value for name, value in os.environ.items() if not name.startswith(("LAUNCHER_", "HF_"))}
        self._said = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cache.killing"],
            cwd=ROOT,
            env={**names, **(environ or {}), "PYTHONPATH": str(ROOT), "SAID": self._said.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str, change: int = 0, byte: int = 0, user: int = 0) -> tuple[int, int]:
        """Runs one command.

        Args:
            change: the number of the change of the disk before which it is killed; 0 lets it live.
            byte: the size that no file may exceed: the kernel kills whoever writes further; 0 for no limit.
            user: whose rights it has; 0 keeps those of the tests.

        Returns:
            Its exit code (negative: the signal that killed it) and how many changes it made.
        """
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([argv, change, byte, user]) + "\n")
        self._process.stdin.flush()
        code, changes = json.loads(self._process.stdout.readline())
        return int(code), int(changes)

    def said(self) -> str:
        """What the last command printed, on both streams."""
        return Path(self._said.name).read_text(encoding="utf-8")

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)
        self._said.close()


def _watch(change: int) -> list[int]:
    """Kills this process before that change of the disk; returns a list whose only item counts them."""
    # Else the first run would write the bytecode of what it imports late: changes that no later run makes.
    sys.dont_write_bytecode = True
    made = [0]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and arguments[1][:1] in "wax"
        if event in CHANGES or writes:
            made[0] += 1
            if made[0] == change:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return made


def killed(work: Callable[[], object], change: int) -> bool:
    """Does ``work`` in a child that is killed before that change of the disk; False when it made fewer."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _watch(change)
            work()
            os._exit(0)
        os._exit(99)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), f"it failed by itself: {code}"
    return code != 0


def refused(work: Callable[[], object], byte: int) -> str:
    """Does ``work`` in a child to which the kernel refuses files above that size, as a full disk would.

    Returns:
        The sentence of the error that it ended with; empty when it went well.
    """
    receiver, report = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            import resource

            from launcher.errors import LauncherError

            resource.setrlimit(resource.RLIMIT_FSIZE, (byte, byte))
            try:
                work()
            except LauncherError as error:
                os.write(report, str(error).encode())
            os._exit(0)
        os._exit(99)
    os.close(report)
    with os.fdopen(receiver) as stream:
        said = stream.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return said


def _child(argv: list[str], change: int, byte: int, report: int) -> None:
    import resource

    from launcher.cli.app import main

    made = _watch(change)
    if byte:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (byte, byte))
    code = main([*argv, "--json"])
    os.write(report, str(made[0]).encode())
    os._exit(code)


def _drive() -> None:
    # Each child has these then: it may have no right to read where the interpreter lies.
    import grp  # noqa: F401
    import resource
    import secrets  # noqa: F401

    import filelock  # noqa: F401
    import zstandard  # noqa: F401

    import launcher.cache.backup
    import launcher.cache.migrate
    import launcher.cache.restore
    import launcher.cli.app
    import launcher.cli.cache_move
    import launcher.hub.catalog  # noqa: F401

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        argv, change, byte, user = json.loads(line)
        receiver, report = os.pipe()
        child = os.fork()
        if child == 0:
            said = os.open(os.environ["SAID"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.dup2(said, 1)
            os.dup2(said, 2)
            if user:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            with contextlib.suppress(BaseException):
                _child(argv, change, byte, report)
            os._exit(99)
        os.close(report)
        _, status = os.waitpid(child, 0)
        with os.fdopen(receiver) as stream:
            made = stream.read()
        print(json.dumps([os.waitstatus_to_exitcode(status), int(made or 0)]), flush=True)


if __name__ == "__main__":
    _drive()
