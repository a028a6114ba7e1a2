"""Small real packages for tests: wheels made here, and an index on a real socket that serves them, with faults.

Invariant: what is served has the digests that `lock_text` wrote, so that every check is a real one.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

from launcher.engines.recipes import Recipe

#: What the engine's environment must hold, each with the code of its module.
WORKER = ("starlette", "uvicorn", "h11", "numpy", "soundfile")
ENGINE_CODE = "class Speaker:\n    pass\n"


def make_wheel(folder: Path, name: str, version: str, files: Mapping[str, str]) -> Path:
    """Writes a wheel of pure Python; ``files`` maps a path to its text."""
    plain = name.replace("-", "_")
    info = f"{plain}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    records = [f"{path},{_digest(text)},{len(text)}" for path, text in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*records, f"{info}/RECORD,,", ""])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{plain}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in content.items():
            archive.writestr(zipfile.ZipInfo(inner, (2020, 1, 1, 0, 0, 0)), text)
    return path


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def lock_text(wheels: list[Path]) -> str:
    """A lock with exactly these."""
    lines = []
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        lines.append(f"{name.replace('_', '-')}=={version} \\\n    --hash=sha256:{_sha256(wheel)}")
    return "\n".join(lines) + "\n"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class SmallRecipe(Recipe):
    """An engine made of small packages."""

    text: str = ""

    def lock(self) -> str:
        return self.text


def make_recipe(folder: Path, *, engine_code: str = ENGINE_CODE, version: str = "1.0") -> SmallRecipe:
    """An engine ``small`` whose wheels lie in ``folder``; its PyTorch is in the lock and, as ``+cpu``, beside it."""
    wheels = [make_wheel(folder, name, "1.0", {f"{name}.py": ""}) for name in WORKER]
    wheels.append(make_wheel(folder, "small-engine", version, {"small_engine.py": engine_code}))
    torch_code = "class version:\n    cuda = None\nclass cuda:\n    is_available = staticmethod(lambda: False)\n"
    wheels.append(make_wheel(folder, "torch", "2.10.0", {"torch/__init__.py": torch_code}))
    wheels.append(make_wheel(folder, "torchaudio", "2.10.0", {"torchaudio/__init__.py": ""}))
    return SmallRecipe(
        engine="small",
        title="A small engine",
        package="small-engine",
        probe="small_engine:Speaker",
        pythons=("3.10", "3.11", "3.12", "3.13"),
        torch="2.10.0",
        torchaudio="2.10.0",
        builds=("cpu", "cu126", "cu128"),
        half="fp16",
        size_cpu_bytes=100_000,
        size_cuda_bytes=200_000,
        vram_full_bytes=10**9,
        vram_half_bytes=10**9,
        text=lock_text(wheels),
    )


@dataclass
class PackageIndex:
    """What an index serves and what it was asked.

    Attributes:
        folder: of wheels.
        status: of every answer; anything but 200 is a fault.
        spoiled: packages whose wheels are served with one byte changed.
        held: packages whose wheels are not sent before `release` is set.
        asked: paths, in order.
    """

    folder: Path
    status: int = 200
    spoiled: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    release: Event = field(default_factory=Event)
    waiting: Event = field(default_factory=Event)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, type and body for a path below ``/simple/``."""
        self.asked.append(path)
        name = path.rstrip("/").rpartition("/")[2]
        if self.status != 200:
            return self.status, "text/plain", b"fault"
        if name.endswith(".whl"):
            return self._wheel(name)
        wheels = sorted(self.folder.glob(f"{name.replace('-', '_')}-*.whl"))
        if not wheels:
            return 404, "text/plain", b"no such package"
        links = "".join(
            f'<a href="/files/{one.name.replace("+", "%2B")}#sha256={_sha256(one)}">{one.name}</a>' for one in wheels
        )
        return 200, "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()

    def _wheel(self, name: str) -> tuple[int, str, bytes]:
        package = name.partition("-")[0]
        if package in self.held:
            self.waiting.set()
            self.release.wait(60)
        data = (self.folder / name.replace("%2B", "+")).read_bytes()
        if package in self.spoiled:
            other = self.folder.parent / "spoiled"
            data = make_wheel(other, package, name.split("-")[1], {f"{package}.py": "evil = True\n"}).read_bytes()
        return 200, "application/octet-stream", data


@contextmanager
def serving(index: PackageIndex) -> Iterator[PackageIndex]:
    """Serves the index while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = index.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        index.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
