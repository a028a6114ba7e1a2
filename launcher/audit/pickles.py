"""What a pickle would import if somebody loaded it, found by reading its instructions and never by loading it.

A pickle is a program; what it can do to a machine it does through what it imports. So every import is compared with a
list of those that rebuild data and do nothing else; all others are named. A name that the program puts together in a
way that reading cannot follow counts as dangerous.

Invariants: nothing is imported, called or unpacked to the disk; memory stays small whatever a file says of itself;
what cannot be read to its end is said to be so, because a loader acts before it reaches the damage.
"""

from __future__ import annotations

import io
import pickletools
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

#: Of files that are pickles even without the mark that newer ones begin with.
_PICKLE_SUFFIXES = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"}
#: A program longer than this is no list of tensors; reading it would take minutes.
MAX_PROGRAM_BYTES = 256 << 20
_MAX_OPCODES = 20_000_000
#: Of torch.save before 1.6: a pickle of this number comes first (torch/serialization.py, MAGIC_NUMBER).
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROGRAMS = 5
_PICKLE_START = re.compile(rb"\x80[\x00-\x05]")
_NUMPY_MAGIC = b"\x93NUMPY"

#: Imports that rebuild data and nothing else: Python's containers and numbers, and what torch.save and numpy write
#: (the same choice as of torch.load(weights_only=True)).
_HARMLESS = re.compile(
    r"collections\.(OrderedDict|defaultdict|deque|Counter)"
    r"|(builtins|__builtin__)\.(set|frozenset|bytearray|bytes|complex|slice|range|xrange|int|float|bool|str|list|dict|tuple|object)"
    r"|(copyreg|copy_reg)\._reconstructor"
    r"|_codecs\.encode|datetime\.(datetime|date|time|timedelta|timezone)|decimal\.Decimal|fractions\.Fraction"
    r"|pathlib\.(Pure)?(Posix|Windows)?Path|argparse\.Namespace|types\.SimpleNamespace"
    r"|torch\.(_utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state|qtensor|sparse_tensor|"
    r"device_tensor_from_numpy|device_tensor_from_cpu_tensor|meta_tensor_no_storage|nested_tensor)"
    r"|_tensor\._rebuild_from_type_v2|nn\.parameter\.(Parameter|Buffer)|Tensor|Size|device|dtype"
    r"|storage\.(Untyped|Typed|_Typed)?Storage|storage\.UntypedStorage"
    r"|(cuda\.)?(Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool|ComplexFloat|ComplexDouble|QInt8|QInt32|QUInt8)Storage"
    r"|(float|double|half|bfloat|int|uint|long|short|complex|bool|float8_e|qint|quint)[a-z0-9_]*"
    r"|jit\._pickle\.(build_\w+|restore_type_tag)|serialization\._get_layout|per_tensor_affine|per_channel_affine)"
    r"|numpy\.(ndarray|dtype|(core|_core)\.multiarray\.(_reconstruct|scalar)|(core|_core)\.numeric\._frombuffer"
    r"|dtypes\.\w+|(u?int|float|complex|bool|str|bytes)[0-9_]*|random\._pickle\.__\w+_ctor)"
)
#: Modules that reach the system, other code or other pickles; a part of the name counts with all below it.
_DANGEROUS_MODULES = {
    *(
        "os",
        "posix",
        "nt",
        "posixpath",
        "ntpath",
        "sys",
        "subprocess",
        "pty",
        "shutil",
        "socket",
        "ssl",
        "ctypes",
        "cffi",
    ),
    *("importlib", "imp", "runpy", "pkgutil", "code", "codeop", "types", "inspect", "pickle", "_pickle", "marshal"),
    *("dill", "cloudpickle", "joblib", "shelve", "webbrowser", "urllib", "http", "ftplib", "smtplib", "telnetlib"),
    *("requests", "httpx", "aiohttp", "asyncio", "multiprocessing", "threading", "_thread", "signal", "pdb", "bdb"),
    *("cProfile", "profile", "timeit", "trace", "doctest", "unittest", "tempfile", "pathlib", "io", "_io", "linecache"),
    *("platform", "pip", "setuptools", "distutils", "venv", "ensurepip", "idlelib", "lib2to3", "pydoc", "operator"),
    *("_operator", "functools", "itertools", "site", "commands", "popen2", "zipimport", "gc", "atexit", "numpy.f2py"),
    *("numpy.testing", "numpy.distutils", "numpy.lib", "torch.hub", "torch.jit", "torch.package", "torch.utils"),
    *("torch.multiprocessing", "torch.distributed", "torch.fx", "torch._dynamo", "torch._inductor", "torch.cuda"),
    *("torch.serialization", "torch.storage", "tensorflow", "keras", "nltk", "builtins", "__builtin__", "copyreg"),
}


@dataclass
class Imports:
    """What one file's programs import.

    Attributes:
        dangerous: names (``module.name``) that reach the system or run other code.
        unknown: names that are neither dangerous nor known to be harmless.
        harmless: the others.
        programs: how many pickles there were.
        unreadable: why reading ended early; empty when it did not.
        strings: short texts of the outermost programs, which name what a checkpoint holds.
    """

    dangerous: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    harmless: set[str] = field(default_factory=set)
    programs: int = 0
    unreadable: str = ""
    strings: set[str] = field(default_factory=set)

    def add(self, module: str, name: str) -> None:
        """Sorts one import into its class."""
        full = f"{module}.{name}"
        if _HARMLESS.fullmatch(full):
            self.harmless.add(full)
        elif is_dangerous(module):
            self.dangerous.add(full)
        else:
            self.unknown.add(full)


def is_dangerous(module: str) -> bool:
    """Whether a module, or one that it lies in, reaches the system or other code."""
    parts = module.split(".")
    return any(".".join(parts[:count]) in _DANGEROUS_MODULES for count in range(1, len(parts) + 1))


def scan_file(path: Path) -> Imports:
    """Reads every pickle in a file: plain, torch's (zip or older), numpy's, or inside a zip or tar.

    Raises:
        OSError: when the file cannot be read.
    """
    found = Imports()
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        if head.startswith(b"PK"):
            _scan_zip(file, found)
        elif head.startswith(_NUMPY_MAGIC):
            _scan_numpy(file, found)
        elif path.suffix == ".tar" or _is_tar(file):
            _scan_tar(path, found)
        elif path.suffix != ".safetensors" and (_PICKLE_START.match(head) or path.suffix in _PICKLE_SUFFIXES):
            _scan_programs(file, found)
    return found


def _is_tar(file: IO[bytes]) -> bool:
    file.seek(257)
    is_tar = file.read(5) == b"ustar"
    file.seek(0)
    return is_tar


def _scan_zip(file: IO[bytes], found: Imports) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    _scan_entry(archive, entry, found)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        # Another reader may be more forgiving than this one.
        found.unreadable = found.unreadable or f"its zip directory cannot be read ({error})"


def _scan_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, found: Imports) -> None:
    with archive.open(entry) as stream:
        head = stream.read(8)
    suffix = Path(entry.filename).suffix
    if suffix in (".pkl", ".pickle") or (_PICKLE_START.match(head) and not _is_tensor_data(entry.filename)):
        with archive.open(entry) as stream:
            _scan_programs(stream, found, single=True)
    elif head.startswith(_NUMPY_MAGIC):
        with archive.open(entry) as stream:
            _scan_numpy(stream, found)


def _is_tensor_data(name: str) -> bool:
    """``archive/data/17``: bytes that torch maps and never unpickles."""
    parts = name.split("/")
    return len(parts) >= 2 and parts[-2] == "data" and parts[-1].isdigit()


def _scan_tar(path: Path, found: Imports) -> None:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is not None and _PICKLE_START.match(stream.read(8)):
                    stream.seek(0)
                    _scan_programs(stream, found)
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        found.unreadable = found.unreadable or f"its tar directory cannot be read ({error})"


def _scan_numpy(stream: IO[bytes], found: Imports) -> None:
    """An array of objects is a pickle behind numpy's header."""
    head = stream.read(8)
    size = struct.unpack("<H", stream.read(2))[0] if head[6] == 1 else struct.unpack("<I", stream.read(4))[0]
    header = stream.read(min(size, 1 << 20))
    if b"O" in header.partition(b"descr")[2].partition(b"fortran")[0]:
        _scan_programs(stream, found, single=True)


def _scan_programs(stream: IO[bytes], found: Imports, *, single: bool = False) -> None:
    """One program after another: torch wrote five before the tensors' bytes, others write one."""
    reader = _Bounded(stream)
    for number in range(_LEGACY_PROGRAMS):
        try:
            first = _scan_program(reader, found)
        except Exception as error:  # noqa: BLE001 - pickletools raises whatever a malformed argument leads to
            if number == 0 or found.dangerous:
                found.unreadable = found.unreadable or f"its pickle breaks off ({error})"
            return
        found.programs += 1
        if single or (number == 0 and first != _LEGACY_MAGIC and not reader.more()):
            return


class _Bounded:
    """A stream that ends after `MAX_PROGRAM_BYTES` and never reads more at once than it holds."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
        self._left = MAX_PROGRAM_BYTES
        self._next = b""

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._left:
            raise ValueError("it is longer than any list of tensors")
        data = self._next[:size] + self._stream.read(max(0, size - len(self._next)))
        self._next = self._next[size:]
        self._left -= len(data)
        return data

    def readline(self) -> bytes:
        line = self._next + self._stream.readline(65536)
        self._next = b""
        self._left -= len(line)
        return line

    def more(self) -> bool:
        """Whether another program seems to follow."""
        self._next = self._next or self._stream.read(2)
        return bool(_PICKLE_START.match(self._next))

    def tell(self) -> int:
        return MAX_PROGRAM_BYTES - self._left


def _scan_program(reader: _Bounded, found: Imports) -> Any:
    """Reads one pickle; returns its only number when it is one (torch's magic)."""
    trail = _Trail()
    number: Any = None
    for count, (opcode, argument, _) in enumerate(pickletools.genops(reader)):  # type: ignore[arg-type]
        if count > _MAX_OPCODES:
            raise ValueError("it has more instructions than any list of tensors")
        for module, name in trail.follow(opcode, argument):
            found.add(module, name)
        if isinstance(argument, str) and len(argument) < 64 and len(found.strings) < 100_000:
            found.strings.add(argument)
        if isinstance(argument, int) and number is None and opcode.name in ("LONG", "LONG1", "LONG4"):
            number = argument
    return number


_MARK = "<mark>"
_Item = tuple[str, ...]  # a text as one item, `_OPAQUE` for everything else, `_MARKED` for a mark
_OPAQUE: _Item = ()
_MARKED: _Item = (_MARK, _MARK)
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
#: torch.save nests a few levels; a list of 1,000 items is laid on the stack before it is appended.
_MAX_DEPTH = 1_000_000


class _Trail:
    """Runs a program's stack without its values: only texts are kept, because they can become a name to import."""

    def __init__(self) -> None:
        self._stack: list[_Item] = []
        self._memo: dict[int, _Item] = {}

    def follow(self, opcode: pickletools.OpcodeInfo, argument: Any) -> Iterator[tuple[str, str]]:
        """One instruction; yields the module and name that it imports."""
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            module, _, attribute = str(argument).partition(" ")
            yield module, attribute
        elif name == "STACK_GLOBAL":
            texts = [part for item in self._stack[-2:] for part in item if item is not _MARKED]
            # Not two plain texts: the program makes the name itself, so that readers like this one miss it.
            yield (texts[0], texts[1]) if len(texts) == 2 else ("builtins", "<a hidden name>")
        elif name.startswith("EXT"):
            yield "copyreg", f"<extension {argument}>"
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif name in _PUTS:
            self._memo[int(argument)] = self._top()
        elif name in _GETS:
            self._stack.append(self._memo.get(int(argument), _OPAQUE))
        elif name == "DUP":
            self._stack.append(self._top())
        elif name == "MARK":
            self._stack.append(_MARKED)
        else:
            self._turn(opcode, argument)
        if len(self._stack) > _MAX_DEPTH or len(self._memo) > _MAX_DEPTH * 10:
            raise ValueError("it is nested deeper than any list of tensors")

    def _turn(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Takes from the stack and lays on it as the instruction says."""
        if pickletools.markobject in opcode.stack_before:
            while self._stack and self._stack.pop() is not _MARKED:
                pass
            # A list or dictionary below the mark is taken too, and laid back.
            taken = opcode.stack_before.index(pickletools.markobject)
        else:
            taken = len(opcode.stack_before)
        if taken:
            del self._stack[-taken:]
        text = isinstance(argument, str) and opcode.name not in ("GLOBAL", "INST", "PERSID", "INT", "LONG", "FLOAT")
        self._stack += [(argument,) if text else _OPAQUE] * len(opcode.stack_after)

    def _top(self) -> _Item:
        return self._stack[-1] if self._stack else _OPAQUE
