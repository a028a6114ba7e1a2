"""Fast construction against upstream's own way: small real modules, real checkpoint files, compared bit by bit."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="no CPU build of torch for this Python")

from torch import nn  # noqa: E402
from torch.nn.utils import weight_norm  # noqa: E402

from launcher.errors import EngineError  # noqa: E402
from launcher.progress import Progress  # noqa: E402
from webui.engine.preload import construct  # noqa: E402
from webui.engine.preload import construction as construction_module  # noqa: E402
from webui.engine.preload.checkpoints import GuardTrippedError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


class Network(nn.Module):
    """One of everything that engines have: random fills, constants, a tie, normalised weights, buffers, an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(200, 64, padding_idx=0)
        self.embedding.weight.data.normal_(0.0, 0.02)
        self.linear = nn.Linear(64, 300)
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        self.square = nn.Linear(64, 64)
        nn.init.orthogonal_(self.square.weight)
        self.normalised = weight_norm(nn.Linear(300, 64))
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, 200, bias=False)
        self.head.weight = self.embedding.weight
        self.recurrent = nn.LSTM(64, 64)
        self.register_buffer("table", torch.arange(5000.0).view(50, 100))

    def forward(self, indices: Any) -> Any:
        hidden = self.normalised(self.linear(self.square(self.embedding(indices))))
        return self.head(self.norm(self.recurrent(self.norm(hidden))[0]))


def builder(path: Path, *, strict: bool = True) -> Callable[[], Network]:
    def build() -> Network:
        network = Network()
        current = network.state_dict()  # as upstream does: it holds the memory that is about to be replaced
        state = {name: value for name, value in torch.load(path, map_location="cpu").items() if name in current}
        network.load_state_dict(state, strict=strict)
        return network.eval()

    return build


def saved(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]] = lambda state: state, **how: Any) -> Path:
    torch.manual_seed(5)
    path = folder / "network.pth"
    torch.save(change(dict(Network().state_dict())), path, **how)
    return path


def replaced_names() -> tuple[Any, ...]:
    return torch.load, nn.Module.load_state_dict, nn.init.trunc_normal_, nn.init.orthogonal_


def assert_equal(ours: nn.Module, upstream: nn.Module) -> None:
    mine, theirs = ours.state_dict(), upstream.state_dict()
    assert list(mine) == list(theirs)
    for name, tensor in theirs.items():
        assert mine[name].dtype == tensor.dtype and mine[name].stride() == tensor.stride(), name
        assert torch.equal(mine[name], tensor), name
    assert [p.requires_grad for p in ours.parameters()] == [p.requires_grad for p in upstream.parameters()]
    indices = torch.arange(30).view(3, 10)
    with torch.no_grad():
        assert torch.equal(ours(indices), upstream(indices))


@pytest.mark.parametrize("kind", ["usual", "legacy", "half"])
def test_it_is_what_upstream_builds(tmp_path: Path, kind: str) -> None:
    path = saved(
        tmp_path,
        (lambda state: {name: value.half() for name, value in state.items()})
        if kind == "half"
        else lambda state: state,
        _use_new_zipfile_serialization=kind != "legacy",
    )
    before = replaced_names()
    made = construct(builder(path), files=[path])
    assert made.fast, made.why_not
    assert (made.filled, made.bytes_read) == (0, path.stat().st_size)
    assert replaced_names() == before
    assert_equal(made.value, builder(path)())
    assert made.value.head.weight is made.value.embedding.weight
    assert {tensor.dtype for tensor in made.value.parameters()} == {torch.float32}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_weights_stay_in_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = path.read_bytes()
    made = construct(builder(path)).value
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    ranges = [tuple(int(end, 16) for end in fields[0].split("-")) for fields in maps]
    address = made.linear.weight.data_ptr()
    assert any(start <= address < end for start, end in ranges), "the file is not mapped"
    with torch.no_grad():
        made.linear.weight.zero_()
    assert path.read_bytes() == content, "a change of the model was written to the file"


def test_what_the_checkpoint_lacks_is_initialised_as_upstream_does(tmp_path: Path) -> None:
    kept = {"embedding.weight", "head.weight", "normalised.weight_v", "norm.bias"}
    path = saved(tmp_path, lambda state: {name: value for name, value in state.items() if name in kept})
    made = construct(builder(path, strict=False))
    upstream = builder(path, strict=False)()
    assert made.fast, made.why_not
    assert made.filled >= 3
    for name, tensor in upstream.state_dict().items():
        mine = made.value.state_dict()[name]
        if name in kept or float(tensor.std()) == 0:
            assert torch.equal(mine, tensor), name
        else:
            assert mine.std() == pytest.approx(float(tensor.std()), rel=0.2), name
            assert mine.abs().max() <= tensor.abs().max() * 1.5, name
    square = made.value.square.weight
    assert torch.allclose(square @ square.T, torch.eye(64), atol=1e-5), "not orthogonal"


def test_normalised_weights_that_are_not_covered_fit_together(tmp_path: Path) -> None:
    path = saved(tmp_path, lambda _state: {})

    def build() -> nn.Module:
        # Large enough that even the magnitudes are put off.
        network = weight_norm(nn.Linear(40, 3000))
        network.load_state_dict(torch.load(path), strict=False)
        return network

    made = construct(build)
    assert made.fast and made.filled >= 2
    network = made.value
    assert torch.allclose(network.weight_v.norm(dim=1, keepdim=True), network.weight_g)
    assert torch.allclose(network.weight, network.weight_v, atol=1e-6)
    assert network.weight_v.abs().max() > 0


def test_who_reads_early_reads_what_upstream_would_have_drawn(tmp_path: Path) -> None:
    def build() -> tuple[Any, Any, float]:
        layer = nn.Linear(100, 100)
        doubled = layer.weight.detach() * 2
        nn.init.zeros_(layer.weight)
        other = nn.Linear(100, 100)
        twin = other.weight.detach().clone()
        other.weight.data.mul_(3.0)
        return (layer, doubled), (other, twin), float(nn.Linear(100, 100).weight.detach().abs().max())

    (layer, doubled), (other, twin), largest = construct(build).value
    assert 0.15 < doubled.abs().max() <= 0.2
    assert float(layer.weight.detach().abs().max()) == 0.0
    assert torch.equal(other.weight, twin * 3.0) and float(twin.abs().max()) > 0
    assert 0.05 < largest <= 0.1


def test_whoever_holds_the_memory_sees_the_checkpoint(tmp_path: Path) -> None:
    path = saved(tmp_path)

    def build() -> tuple[Network, Any, float]:
        network = Network()
        kept = network.linear.weight.data
        network.load_state_dict(torch.load(path))
        return network, kept, float(network.linear.weight.detach().abs().max())

    network, kept, _ = construct(build).value
    assert torch.equal(kept, torch.load(path)["linear.weight"])
    with torch.no_grad():
        kept.zero_()
    assert float(network.linear.weight.detach().abs().max()) == 0.0, "it is another memory"


def test_two_models_from_one_file_share_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path)

    def build() -> list[Network]:
        state = torch.load(path)
        networks = [Network(), Network(), Network()]
        for network in networks[:2]:
            network.load_state_dict(state)
        networks[2].load_state_dict(networks[1].state_dict())
        return networks

    made = construct(build)
    assert made.fast, made.why_not
    for network in made.value:
        assert_equal(network, builder(path)())
        with torch.no_grad():
            network.linear.weight.zero_()


def test_a_second_attempt_of_upstreams_own_is_upstreams_own(tmp_path: Path) -> None:
    path = saved(tmp_path, lambda state: {"weight": state["linear.weight"], "bias": state["linear.bias"]})

    def build() -> nn.Module:
        layer = weight_norm(nn.Linear(64, 300))
        state = torch.load(path)
        try:
            layer.load_state_dict(state)
        except RuntimeError:  # as the vocoder does: the file has no normalised weights
            nn.utils.remove_weight_norm(layer)
            layer.load_state_dict(state)
        return layer

    made = construct(build)
    assert made.fast and made.filled == 0
    assert torch.equal(made.value.weight, build().weight)


@pytest.mark.parametrize("fault", ["truncated", "wrong shape", "missing", "lacking"])
def test_a_bad_checkpoint_is_upstreams_error_and_leaves_nothing(tmp_path: Path, fault: str) -> None:
    wrong = {"linear.bias": torch.zeros(7)} if fault == "wrong shape" else {}
    path = saved(tmp_path, lambda state: {} if fault == "lacking" else {**state, **wrong})
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:-5000])
    elif fault == "missing":
        path.unlink()
    before = replaced_names()
    with pytest.raises(Exception) as upstream:
        builder(path)()
    with pytest.raises(type(upstream.value)) as ours:
        construct(builder(path), files=[path])
    assert str(ours.value) == str(upstream.value)
    assert replaced_names() == before
    assert gc.isenabled()


def test_our_own_errors_are_not_tried_again() -> None:
    calls = []

    def build() -> None:
        calls.append("build")
        raise EngineError("The voice is missing.", fix="Fetch it.")

    before = replaced_names()
    with pytest.raises(EngineError):
        construct(build)
    assert calls == ["build"]
    assert replaced_names() == before


def test_a_tripped_guard_takes_upstreams_way_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def trip() -> None:
        raise GuardTrippedError("torch does something else now")

    path = saved(tmp_path)
    monkeypatch.setattr(construction_module, "check_behaviour", trip)
    made = construct(builder(path), files=[path])
    assert not made.fast
    assert "torch does something else now" in made.why_not
    assert "torch does something else now" in caplog.text
    assert set(made.stages) == {"upstream"}
    assert_equal(made.value, builder(path)())


def test_a_model_without_memory_trips_the_guard() -> None:
    def build() -> nn.Module:
        return nn.Linear(3, 3, device="meta")

    made = construct(build)
    assert not made.fast and "meta" in made.why_not


def test_a_failure_of_the_fast_way_alone_is_no_failure() -> None:
    def build() -> nn.Module:
        layer = nn.Linear(100, 100)
        if nn.Module.load_state_dict.__module__ != "torch.nn.modules.module":
            raise RuntimeError("something is replaced")
        return layer

    made = construct(build)
    assert not made.fast and "something is replaced" in made.why_not
    assert float(made.value.weight.detach().std()) > 0


def test_a_compressed_checkpoint_is_read_plainly(tmp_path: Path) -> None:
    import zipfile

    path = saved(tmp_path)
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for item in source.infolist():
            target.writestr(item.filename, source.read(item))
    made = construct(builder(packed))
    assert_equal(made.value, builder(path)())


def test_progress_counts_the_files(tmp_path: Path) -> None:
    path = saved(tmp_path)
    reports: list[Progress] = []
    construct(builder(path), files=[path], report=reports.append)
    size = path.stat().st_size
    assert (reports[0].done, reports[-1].done) == (0, size)
    assert {(report.stage, report.total, report.unit) for report in reports} == {("weights", size, "bytes")}
