"""What the source says of itself, read with `ast`: modules, their imports, their functions.

Invariant: nothing of the project is imported here; a file that does not parse is a failure of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Import:
    """One imported name: ``target`` is the module (or ``module.name``), ``line`` where it stands."""

    target: str
    line: int

    @property
    def top(self) -> str:
        """The top-level package."""
        return self.target.partition(".")[0]


@dataclass(frozen=True)
class SourceFile:
    """One Python file; ``module`` is its dotted name from the repository's root."""

    path: Path

    @property
    def where(self) -> str:
        """The path as people read it."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def module(self) -> str:
        """The dotted name; a package's ``__init__`` is the package."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.where)

    def imports(self) -> list[Import]:
        """Every import, wherever it stands, but not what only a type checker reads."""
        found: list[Import] = []
        for node in _walk_runtime(self.tree):
            if isinstance(node, ast.Import):
                found += [Import(alias.name, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                found += [Import(f"{base}.{alias.name}", node.lineno) for alias in node.names]
        return found

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.module.split(".")
        if self.path.name != "__init__.py":
            package = package[:-1]
        package = package[: len(package) - (node.level - 1)]
        return ".".join([*package, *([node.module] if node.module else [])])

    def functions(self) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Every function under its qualified name (``Class.name``, ``outer.<locals>.inner``) and its node."""
        yield from _functions(self.tree, "")

    def nodes(self) -> Iterator[ast.AST]:
        """Every node."""
        return ast.walk(self.tree)


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{prefix}.{child.name}".lstrip(".")
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield name, child
            name += ".<locals>"
        yield from _functions(child, name)


def _walk_runtime(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _walk_runtime(other)
            continue
        yield from _walk_runtime(child)


def python_files(*folders: str) -> list[SourceFile]:
    """Every Python file under the named folders of the repository, sorted."""
    return [SourceFile(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def module_of(target: str, known: set[str]) -> str | None:
    """The module of ours that ``target`` (``module`` or ``module.name``) names, or ``None`` for somebody else's."""
    while target:
        if target in known:
            return target
        target = target.rpartition(".")[0]
    return None


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """One cycle as the modules on it, first and last the same; empty when there is none."""
    done: set[str] = set()
    for start in graph:
        trail: list[str] = []
        stack = [(start, iter(sorted(graph.get(start, ()))))]
        trail.append(start)
        while stack:
            module, following = stack[-1]
            step = next(following, None)
            if step is None:
                stack.pop()
                trail.pop()
                done.add(module)
            elif step in trail:
                return [*trail[trail.index(step) :], step]
            elif step not in done:
                trail.append(step)
                stack.append((step, iter(sorted(graph.get(step, ())))))
    return []
