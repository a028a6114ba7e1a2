"""The torch of the test environment is a CPU build that works; the engines for GPUs are tested with it."""

from __future__ import annotations

import pytest


def test_torch_is_a_cpu_build_that_computes() -> None:
    torch = pytest.importorskip("torch", reason="no CPU build of torch for this Python")
    assert torch.version.cuda is None, "a CUDA build costs gigabytes; scripts/test asks for the CPU build"
    version = tuple(int(part) for part in torch.__version__.partition("+")[0].split(".")[:2])
    assert (2, 8) <= version < (2, 14)
    assert torch.equal(torch.arange(3) * 2, torch.tensor([0, 2, 4]))
