"""Makes importing Gradio quicker: its import rewrites a ``.pyi`` file for every component, which nobody here reads.

That work is about half of the import's time, and it writes into site-packages, which may be read-only. Invariants:
nothing but that one function is replaced, and only where it exists; a Gradio without it imports as it is.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

_MODULE = "gradio.component_meta"
_FUNCTION = "create_or_modify_pyi"


class _Finder(importlib.abc.MetaPathFinder):
    """Finds `_MODULE` as usual and has `_Loader` execute it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Executes the module, then makes its stub writer do nothing."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if hasattr(module, _FUNCTION):
            setattr(module, _FUNCTION, _write_no_stub)


def _write_no_stub(*_arguments: object) -> None:
    """Stands in for Gradio's stub writer."""


def prepare_import() -> None:
    """Call before the first ``import gradio``; later calls and calls after it change nothing."""
    if "gradio" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
