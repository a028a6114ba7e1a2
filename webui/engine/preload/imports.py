"""Heavy imports, with what can be done meanwhile: no search for garbage, the device's context opened by a thread.

Invariants: the collector is as it was afterwards, also after an error; nothing touches CUDA unless a CUDA device is
asked for, because a forkserver must not.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)

#: How long torch may take to be imported; a cold, slow disk needs most of it.
_TORCH_WITHIN_S = 120.0


@contextmanager
def importing(device: str = "cpu") -> Iterator[None]:
    """Around the imports of an engine: they make a million objects and no garbage.

    Args:
        device: ``cuda:N``, or ``auto`` where there is a GPU, opens that device's context in a thread as soon as
            torch is there.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        if device != "cpu":
            threading.Thread(target=_open_device, args=(device,), name="open-device", daemon=True).start()
        yield
        # What imports made lives as long as the process: later searches need not look at it.
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def _open_device(device: str) -> None:
    """Makes the context, the allocator's first block and the stream; whoever loads later reports what is wrong."""
    deadline = time.monotonic() + _TORCH_WITHIN_S
    # Not imported from here: two threads in the same import would only wait for each other.
    while not _is_imported("torch"):
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)
    import torch

    try:
        if torch.cuda.is_available():
            target = "cuda:0" if device == "auto" else device
            torch.empty(1 << 20, dtype=torch.uint8, device=target)
            torch.cuda.synchronize(target)
    except RuntimeError as error:
        _log.warning("the device %s could not be opened beforehand: %s", device, error)


def _is_imported(name: str) -> bool:
    """Whether a module has been imported to its end."""
    module = sys.modules.get(name)
    return module is not None and not getattr(module.__spec__, "_initializing", False)
