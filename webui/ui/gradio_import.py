"""Makes importing Gradio quicker, by leaving out two things that this page never uses.

Its import rewrites a ``.pyi`` file for every component, into site-packages, which may be read-only; and it imports
pandas, for tables. Together they are about four tenths of the import's time. Invariants: only that function is
replaced, and only where it exists; pandas is there, whole, as soon as anything of it is used.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_MODULE = "gradio.component_meta"
_FUNCTION = "create_or_modify_pyi"
#: Gradio imports it for tables and uses nothing of it before a table is shown; this page shows none.
_LATER = "pandas"


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


class _LaterModule(ModuleType):
    """Stands in for a module until something of it is used; then the real one is imported and takes its place."""

    def __getattr__(self, name: str) -> Any:
        # Not `importlib.util.LazyLoader`: the import statement itself reads ``__spec__``, which makes that one load.
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _put_off(name: str) -> None:
    """Has ``import name`` give a stand-in; a package that is not installed stays missing."""
    if name not in sys.modules and importlib.machinery.PathFinder.find_spec(name) is not None:
        module = _LaterModule(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module


def prepare_import() -> None:
    """Call before the first ``import gradio``; later calls and calls after it change nothing."""
    if "gradio" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        _put_off(_LATER)
