"""The rules that make this one house: layers, cycles, weight, sizes, names. See docs/architecture.md.

Invariant: a failure names the file, the line and the rule, so that nobody has to read this file to mend it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from tests.source_tree import ROOT, SourceFile, find_cycle, module_of, python_files

OURS = python_files("launcher", "webui")
EVERYTHING = [*OURS, *python_files("scripts", "tests")]
MODULES = {file.module for file in OURS}

#: Modules of launcher/ that every process may import: the standard library is all they need.
SHARED = {"errors", "progress", "frames", "channel", "access"}
#: launcher/, left to right: an import may only point to the left.
LAUNCHER_LAYERS = [
    SHARED,
    {"config"},
    {"cache"},
    {"alarms"},
    {"hub"},
    {"audit"},
    {"engines"},
    {"metrics"},
    {"profiles"},
    {"process"},
    {"apps"},
    {"doctor"},
    {"bundle", "service", "shortcut"},
    {"cli"},
    {"__main__"},
]
#: webui/, left to right: an import may only point to the left.
WEBUI_LAYERS = [
    {"emotion", "temporary", "text", "audio", "settings", "hub_cache"},
    {"markup", "loudness", "quality"},
    {"engine"},
    {"queueing", "read_ahead", "supervisor_link", "library"},
    {"synthesis"},
    {"metrics", "jobs"},
    {"api", "ui"},
    {"guard"},
    {"app"},
    {"webui"},
]
#: What launcher/ may need besides the standard library, and only there.
LAUNCHER_PACKAGES = {
    "config": {"dotenv", "platformdirs", "tomli"},
    "cache": {"filelock", "platformdirs", "psutil", "fsspec", "zstandard"},
    "hub": {"urllib3", "filelock", "huggingface_hub"},
    "engines": {"psutil", "filelock", "pynvml", "uv"},
    "process": {"psutil", "filelock"},
    "apps": {"psutil"},
    "alarms": {"apprise"},
    "metrics": {"psutil"},
    "bundle": {"packaging", "setuptools"},
    "doctor": {"packaging", "psutil", "urllib3"},
    "cli": {"click", "psutil"},
}
#: What an engine's environment may lack: the page's packages.
PAGE_PACKAGES = {"gradio", "fastapi", "pydantic", "gradio_client"}
#: What `--help` must not load: each costs from 10 ms to seconds.
HEAVY = {
    *PAGE_PACKAGES,
    *(
        "numpy",
        "torch",
        "starlette",
        "onnxruntime",
        "huggingface_hub",
        "httpx",
        "urllib3",
        "pandas",
        "scipy",
        "uvicorn",
    ),
    *("psutil", "dotenv", "platformdirs", "filelock", "asyncio", "ssl", "multiprocessing", "concurrent", "email"),
    "webui",
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
#: Functions that may be longer, each with its reason.
LONG_FUNCTIONS: dict[str, str] = {}
#: The files that start a process, and so may end it.
ENTRY_POINTS = {
    "launcher/__main__.py",
    "launcher/cli/app.py",
    "launcher/process/weights.py",  # a child of the supervisor
    "launcher/cli/errand.py",  # another one
    "launcher/process/foreign.py",  # likewise
    "webui/webui.py",
    "webui/engine/worker.py",
    "webui/engine/child.py",  # ends a child whose supervisor has gone
    "webui/engine/forkserver.py",  # a fork must never return into what its parent was doing
    "webui/engine/indextts/kernels.py",  # a process of its own, which compiles
}
PRINTER = "launcher/cli/output.py"
#: Words that say nothing about what a thing does.
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
#: Folders of one person's machine.
MACHINE_PATH = re.compile(r"(?<![\w./~$}-])(/home/\w|/Users/\w|/root/|/work/|/workspace/|/mnt/|[A-Z]:\\Users\\)")


def _unit(module: str) -> str:
    """The file or folder directly under launcher/ or webui/ that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _rank(module: str) -> int | None:
    layers = LAUNCHER_LAYERS if module.startswith("launcher") else WEBUI_LAYERS
    return next((rank for rank, units in enumerate(layers) if _unit(module) in units), None)


def _report(problems: list[str], rule: str) -> None:
    assert not problems, f"{rule}\n" + "\n".join(f"  {problem}" for problem in problems)


def _internal(file: SourceFile) -> list[tuple[str, int]]:
    found = ((module_of(item.target, MODULES), item.line) for item in file.imports())
    return [(module, line) for module, line in found if module and module != file.module]


def _third_party(file: SourceFile) -> list[tuple[str, int]]:
    return [
        (item.top, item.line)
        for item in file.imports()
        if item.top not in sys.stdlib_module_names and item.top not in {"launcher", "webui", "tests", "__future__"}
    ]


def test_the_scan_sees_the_source() -> None:
    assert {"launcher.errors", "webui.emotion", "webui.engine.base"} <= MODULES


def test_every_module_has_a_layer() -> None:
    homeless = [file.where for file in OURS if _unit(file.module) and _rank(file.module) is None]
    _report(homeless, "add the new unit to LAUNCHER_LAYERS or WEBUI_LAYERS and to docs/architecture.md:")


@pytest.mark.parametrize("package", ["launcher", "webui"])
def test_imports_point_to_the_left(package: str) -> None:
    problems = []
    for file in OURS:
        own = _rank(file.module)
        if not file.module.startswith(package) or own is None:
            continue
        for target, line in _internal(file):
            rank = _rank(target)
            if target.startswith(package) and rank is not None and _unit(target) != _unit(file.module):
                shared = package == "launcher" and _unit(target) in SHARED
                if rank > own or (rank == own and not shared):
                    problems.append(f"{file.where}:{line} imports {target}, which lies to its right or beside it")
    _report(problems, f"in {package}/ an import may only point to a layer on the left:")


def test_launcher_never_imports_webui() -> None:
    problems = [
        f"{file.where}:{line} imports {target}"
        for file in OURS
        if file.module.startswith("launcher")
        for target, line in _internal(file)
        if target.startswith("webui")
    ]
    _report(problems, "launcher/ is light and knows nothing of webui/:")


def test_launcher_needs_few_packages() -> None:
    problems = [
        f"{file.where}:{line} imports {top}"
        for file in OURS
        if file.module.startswith("launcher")
        for top, line in _third_party(file)
        if top not in LAUNCHER_PACKAGES.get(_unit(file.module), set())
    ]
    _report(problems, f"launcher/ may import, besides the standard library, only {LAUNCHER_PACKAGES}:")


def test_webui_imports_only_the_shared_part_of_launcher() -> None:
    problems = [
        f"{file.where}:{line} imports {target}"
        for file in OURS
        if file.module.startswith("webui")
        for target, line in _internal(file)
        if target.startswith("launcher.") and _unit(target) not in SHARED
    ]
    _report(problems, f"webui/ may import of launcher/ only {sorted(SHARED)}:")


def test_engines_run_without_the_page() -> None:
    allowed = {"emotion", "text", "audio", "settings", "hub_cache", "markup", "quality", "engine"}
    problems = []
    for file in OURS:
        if _unit(file.module) not in allowed or not file.module.startswith("webui"):
            continue
        problems += [
            f"{file.where}:{line} imports {target}"
            for target, line in _internal(file)
            if target.startswith("webui.") and _unit(target) not in allowed
        ]
        problems += [f"{file.where}:{line} imports {top}" for top, line in _third_party(file) if top in PAGE_PACKAGES]
    _report(problems, "webui/engine/ and what it imports run in the engine's own environment, without the page:")


def test_there_is_no_import_cycle() -> None:
    graph = {file.module: {target for target, _ in _internal(file)} for file in OURS}
    # A package's __init__ that imports its own submodules is no cycle by itself: they name the package to be found.
    graph = {module: {t for t in targets if not module.startswith(f"{t}.")} for module, targets in graph.items()}
    cycle = find_cycle(graph)
    assert not cycle, "import cycle: " + " -> ".join(cycle)


def test_cycles_are_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_help_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "launcher", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "start" in done.stdout
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "launcher" in loaded, "the import times were not read"
    assert not loaded & HEAVY, f"`launcher --help` loads {sorted(loaded & HEAVY)}; import them where they are used"


def test_files_are_short() -> None:
    suffixes = {".py", ".js", ".css", ".html", ".sh", ".ps1", ".bat"}
    paths = [
        path for folder in ("launcher", "webui", "scripts", "tests") for path in sorted((ROOT / folder).rglob("*"))
    ]
    problems = []
    for path in paths:
        if path.is_file() and (path.suffix in suffixes or not path.suffix):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines >= MAX_FILE_LINES:
                problems.append(f"{path.relative_to(ROOT).as_posix()} has {lines} lines")
    _report(problems, f"a file has less than {MAX_FILE_LINES} lines; split it by concept:")


def test_functions_are_short() -> None:
    problems = []
    for file in EVERYTHING:
        for name, node in file.functions():
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines >= MAX_FUNCTION_LINES and f"{file.where}:{name}" not in LONG_FUNCTIONS:
                problems.append(f"{file.where}:{node.lineno} {name} has {lines} lines")
    _report(problems, f"a function has less than {MAX_FUNCTION_LINES} lines:")


def test_every_module_says_what_it_is_for() -> None:
    problems = [file.where for file in EVERYTHING if file.text.strip() and not ast.get_docstring(file.tree)]
    _report(problems, "a module starts with a docstring: its purpose, then its invariants:")


def test_public_functions_have_docstrings() -> None:
    problems = [
        f"{file.where}:{node.lineno} {name}"
        for file in OURS
        for name, node in file.functions()
        if not any(part.startswith(("_", "<")) for part in name.split("."))
        if not ast.get_docstring(node) and not _is_overload(node)
    ]
    _report(problems, "a public function says what it does, takes, returns and raises:")


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(ast.unparse(decorator).endswith(("overload", ".setter")) for decorator in node.decorator_list)


def test_nothing_is_mocked() -> None:
    problems = [
        f"{file.where}:{item.line} imports {item.target}"
        for file in EVERYTHING
        for item in file.imports()
        if item.target.startswith(("unittest.mock", "mock.", "pytest_mock")) or item.target == "mock"
    ]
    _report(problems, "write a small real substitute and pass it as an argument:")


def _calls(file: SourceFile) -> list[tuple[str, int]]:
    return [(ast.unparse(node.func), node.lineno) for node in file.nodes() if isinstance(node, ast.Call)]


def test_only_the_output_prints() -> None:
    printing = {"print", "sys.stdout.write", "sys.stderr.write", "click.echo", "click.secho"}
    problems = [
        f"{file.where}:{line} calls {name}"
        for file in OURS
        if file.where != PRINTER
        for name, line in _calls(file)
        if name in printing and not (name.startswith("sys.") and file.where in ENTRY_POINTS)
    ]
    _report(problems, f"only {PRINTER} prints:")


def test_only_entry_points_exit() -> None:
    exits = {"sys.exit", "os._exit", "exit", "quit", "SystemExit"}
    problems = [
        f"{file.where}:{line} calls {name}"
        for file in OURS
        if file.where not in ENTRY_POINTS
        for name, line in _calls(file)
        if name in exits
    ]
    _report(problems, f"raise a LauncherError; only {sorted(ENTRY_POINTS)} end the process:")


def test_names_say_something() -> None:
    problems = []
    for file in EVERYTHING:
        names = [(part, 1) for part in file.module.split(".")]
        names += [
            (node.name, node.lineno)
            for node in file.nodes()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        ]
        for name, line in names:
            words = {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}
            if words & EMPTY_WORDS:
                problems.append(f"{file.where}:{line} {name}")
    _report(problems, f"{sorted(EMPTY_WORDS)} say nothing about what a thing does:")


def test_no_path_of_one_machine() -> None:
    problems = [
        f"{file.where}:{number} {line.strip()}"
        for file in EVERYTHING
        if file.path.resolve() != SourceFile(ROOT / "tests" / "test_architecture.py").path
        for number, line in enumerate(file.text.splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    _report(problems, "no path of one person's machine in the code:")
