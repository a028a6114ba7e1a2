"""uv, which makes environments and fills them: where it is, how it is run, what it says.

Invariants: its cache and the interpreters that it fetches lie in the data folder unless the user says otherwise, so
that packages are linked into an environment and not copied; it ends with us; all it says goes to a log as well.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from launcher.config import Config
from launcher.errors import EngineError
from launcher.progress import Progress

#: How often the bar moves.
_POLL_S = 0.5
_KEPT_LINES = 400
#: What uv says when the network, not the request, is at fault.
_NETWORK = re.compile(
    r"Failed to fetch|error sending request|Could not connect|client error|operation timed out|dns error|"
    r"failed to lookup address|Connection (refused|reset)|Request failed|HTTP status (server|client) error|"
    r"error decoding response body",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Answer:
    """How a run of uv ended.

    Attributes:
        code: its exit code.
        lines: the last of what it said.
    """

    code: int
    lines: tuple[str, ...]

    @property
    def blames_network(self) -> bool:
        """Whether another index may do better."""
        return self.code != 0 and any(_NETWORK.search(line) for line in self.lines)

    def reason(self) -> str:
        """What went wrong and its deepest cause, as uv puts it."""
        errors = [line for line in self.lines if re.match(r"\s*(error|×)", line)]
        causes = [line for line in self.lines if re.match(r"\s*(cause|Caused by):", line)]
        chosen = [*errors[:1], *causes[-1:]] or list(self.lines[-1:]) or ["it said nothing"]
        plain = [re.sub(r"^\s*(error:|cause:|Caused by:|×)\s*", "", line).strip().rstrip(".") for line in chosen]
        return ": ".join(plain)[:400]


def find_uv() -> Path:
    """The program: the package's own, or else the one on ``PATH``.

    Raises:
        EngineError: when there is none.
    """
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        pass
    from shutil import which

    path = which("uv")
    if path is None:
        raise EngineError(
            "uv, which makes the engines' environments, is not installed.",
            fix="Install it with: python -m pip install uv, or see https://docs.astral.sh/uv/.",
        )
    return Path(path)


def environment(config: Config, base: Mapping[str, str]) -> dict[str, str]:
    """uv's environment: ``base`` and what ``.env`` says, without our settings and without another environment's."""
    kept = {
        name: value
        for name, value in {**base, **config.standard}.items()
        if not name.startswith("LAUNCHER_") and name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX")
    }
    kept.setdefault("UV_CACHE_DIR", str(config.data_dir / "cache" / "uv"))
    kept.setdefault("UV_PYTHON_INSTALL_DIR", str(config.data_dir / "engines" / "python"))
    kept |= {"UV_NO_PROGRESS": "1", "NO_COLOR": "1", "UV_NO_ENV_FILE": "1"}
    if config.offline == "yes":
        kept["UV_OFFLINE"] = "1"
    return kept


@dataclass
class Uv:
    """Runs uv.

    Attributes:
        program: its path.
        environ: from `environment`.
        folder: where it runs and where the log is.
        report: gets how far it is.
    """

    program: Path
    environ: Mapping[str, str]
    folder: Path
    report: Callable[[Progress], None]

    def run(self, arguments: Sequence[str], *, stage: str, total_bytes: int = 0) -> Answer:
        """Runs one command to its end.

        Args:
            arguments: after the program's name.
            stage: for the progress.
            total_bytes: what it will write, roughly; 0 when that is not known.

        Raises:
            EngineError: when it cannot be started.
        """
        command = [str(self.program), *arguments]
        try:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise EngineError(
                f"uv ({self.program}) does not start: {error.strerror}.", fix="Install it anew."
            ) from None
        lines: list[str] = []
        began = time.monotonic()
        try:
            with (self.folder / "install.log").open("a", encoding="utf-8") as log:
                log.write(f"$ uv {without_credentials(' '.join(arguments))}\n")
                for line in _follow(process, lambda: self._show(process.pid, stage, total_bytes, began)):
                    log.write(without_credentials(line) + "\n")
                    lines = [*lines[-_KEPT_LINES:], without_credentials(line)]
            return Answer(process.wait(), tuple(lines))
        finally:  # Ctrl-C, a full disk: uv leaves nothing half done, what it has is in its cache
            if process.poll() is None:
                process.terminate()
                process.wait()

    def _show(self, pid: int, stage: str, total_bytes: int, began: float) -> None:
        if not total_bytes:
            self.report(Progress(stage))
            return
        # uv unpacks as it downloads: what it has written is what there is of the environment.
        done = min(_written_bytes(pid), int(0.99 * total_bytes))
        rate = done / max(_POLL_S, time.monotonic() - began)
        eta_s = (total_bytes - done) / rate if done else None
        self.report(Progress(stage, done, total_bytes, "bytes", rate or None, eta_s))


def _follow(process: subprocess.Popen[str], tick: Callable[[], None]) -> Iterator[str]:
    """What a process says, as it says it; ``tick`` is called meanwhile."""
    lines: SimpleQueue[str | None] = SimpleQueue()

    def read() -> None:
        if process.stdout is not None:
            for line in process.stdout:
                lines.put(line.rstrip())
        lines.put(None)

    Thread(target=read, name="uv-output", daemon=True).start()
    next_tick = time.monotonic()
    while True:
        try:
            line = lines.get(timeout=_POLL_S)
        except Empty:
            line = ""
        if line is None:
            return
        if line:
            yield line
        if time.monotonic() >= next_tick:
            next_tick = time.monotonic() + _POLL_S
            tick()


def _written_bytes(pid: int) -> int:
    import psutil

    try:
        counters = psutil.Process(pid).io_counters()
    except (psutil.Error, AttributeError, OSError):  # gone, or a system that does not count (macOS)
        return 0
    return int(getattr(counters, "write_chars", counters.write_bytes))


def without_credentials(text: str) -> str:
    """``text`` with user names and passwords in addresses masked."""
    return re.sub(r"(://)[^/@\s]+@", r"\1********@", text)
