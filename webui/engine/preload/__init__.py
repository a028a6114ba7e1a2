"""Fast construction of engines: what is not needed is not done, what is needed is done at the same time.

`warm_files` before the imports, `importing` around them, `construct` around upstream's constructor. See
docs/preload.md. Invariant: importing this package needs the standard library alone; `construct` brings torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webui.engine.preload.imports import importing
from webui.engine.preload.pagecache import WarmUp, warm_files

if TYPE_CHECKING:
    from webui.engine.preload.construction import Constructed, construct

__all__ = ["Constructed", "WarmUp", "construct", "importing", "warm_files"]


def __getattr__(name: str) -> Any:
    if name in ("construct", "Constructed"):
        from webui.engine.preload import construction

        return getattr(construction, name)
    raise AttributeError(name)
