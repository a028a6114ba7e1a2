"""Checkpoints mapped into memory, and their tensors put into a model in place of its own instead of copied over them.

Invariants: a tensor of a file becomes a parameter of one model only, a second use gets a copy, as upstream's would;
dtype, device, strides and ties of the parameters are what they would be after a copy; whoever else holds a parameter's
memory sees the checkpoint's numbers in it; files are mapped privately, so nothing is ever written back.
"""

from __future__ import annotations

import os
import weakref
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from webui.engine.preload.patches import replaced
from webui.engine.preload.promises import Place


class GuardTrippedError(Exception):
    """Something is not as it must be for the fast way; the message says what."""


#: Promises a tensor's numbers as the content of the memory given; `Deferral.supersede` is one.
Supersede = Callable[[StorageWeakRef, Place, Tensor], bool]


@dataclass(frozen=True)
class _Shared:
    """A tensor whose former memory somebody still held."""

    tensor: weakref.ref[Tensor]
    address: int
    memory: StorageWeakRef
    place: Place


@dataclass
class Checkpoints:
    """What was read from files, and which of it is in use.

    Attributes:
        mapped: files that were mapped.
        plain: files that were read upstream's way (older formats), each with the reason.
        assigned, copied: how many tensors took which way.
        supersede: how memory that others still hold is filled later; without it it is filled at once.
    """

    mapped: list[Path] = field(default_factory=list)
    plain: list[tuple[Path, str]] = field(default_factory=list)
    assigned: int = 0
    copied: int = 0
    supersede: Supersede = lambda _memory, _place, _value: False
    _shared: list[_Shared] = field(default_factory=list)
    _storages: dict[int, StorageWeakRef] = field(default_factory=dict)
    _used: set[tuple[int, int]] = field(default_factory=set)

    def share(self, tensor: Tensor, memory: StorageWeakRef, place: Place) -> None:
        """Lets whoever still holds the memory that ``tensor`` had before see its numbers there, as after a copy."""
        if self.supersede(memory, place, tensor.detach()):
            self._shared.append(_Shared(weakref.ref(tensor), tensor.data_ptr(), memory, place))
            return
        old = place.on(torch.UntypedStorage._new_with_weak_ptr(memory.cdata))
        with torch.no_grad():
            old.copy_(tensor)
            tensor.data = old

    def rejoin(self) -> int:
        """Puts tensors back into the memory that others still hold; call when all is filled. Returns how many."""
        count = 0
        for shared in self._shared:
            tensor = shared.tensor()
            if tensor is None or shared.memory.expired() or tensor.data_ptr() != shared.address:
                continue
            memory = torch.UntypedStorage._new_with_weak_ptr(shared.memory.cdata)
            tensor.data = shared.place.on(memory)
            count += 1
        self._shared.clear()
        return count

    @property
    def bytes_read(self) -> int:
        """Size of the files that were opened."""
        return sum(path.stat().st_size for path in {*self.mapped, *(path for path, _ in self.plain)})

    def learn(self, loaded: object) -> None:
        """Notes that the tensors in ``loaded`` come from a file and belong to nobody else."""
        for tensor in _tensors_in(loaded):
            storage = tensor.untyped_storage()
            self._storages[storage._cdata] = StorageWeakRef(storage)

    def take(self, tensor: Tensor) -> bool:
        """Whether ``tensor`` may become a parameter: it comes from a file and has not become one yet."""
        key = tensor.untyped_storage()._cdata
        place = (key, tensor.storage_offset())
        if key not in self._storages or place in self._used:
            return False
        self._used.add(place)
        return True


@contextmanager
def mapped_checkpoints(checkpoints: Checkpoints) -> Iterator[None]:
    """While it is active `torch.load` maps files and `load_state_dict` assigns."""
    with replaced(torch, "load", _mapping_load(torch.load, checkpoints)):
        assigning = _assigning_load_state_dict(nn.Module.load_state_dict, checkpoints)
        with replaced(nn.Module, "load_state_dict", assigning), _safetensors_noted(checkpoints):
            yield


@contextmanager
def _safetensors_noted(checkpoints: Checkpoints) -> Iterator[None]:
    """`safetensors.torch.load_file` maps by itself; what it returns is noted. Without the package there is nothing."""
    try:
        import safetensors.torch as library
    except ImportError:
        yield
        return
    original = library.load_file

    def load_file(filename: Any, *args: Any, **kwargs: Any) -> Any:
        loaded = original(filename, *args, **kwargs)
        checkpoints.mapped.append(Path(filename))
        checkpoints.learn(loaded)
        return loaded

    with replaced(library, "load_file", load_file):
        yield


def _mapping_load(original: Callable[..., Any], checkpoints: Checkpoints) -> Callable[..., Any]:
    def load(f: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(f, (str, os.PathLike)):
            return original(f, *args, **kwargs)
        path = Path(f)
        if not kwargs.get("mmap"):
            reason = _why_not_mapped(path, args, kwargs)
            if not reason:
                kwargs = {**kwargs, "mmap": True}
            else:
                checkpoints.plain.append((path, reason))
        loaded = original(f, *args, **kwargs)
        if kwargs.get("mmap"):
            checkpoints.mapped.append(path)
        checkpoints.learn(loaded)
        return loaded

    return load


def _why_not_mapped(path: Path, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Why a file must be read as upstream reads it; empty when it can be mapped."""
    if kwargs.get("mmap") is False:
        return "the caller asks for it"
    where = args[0] if args else kwargs.get("map_location")
    if not (where is None or (isinstance(where, (str, torch.device)) and str(where) == "cpu")):
        return f"its tensors go to {where!r:.40}"
    if not zipfile.is_zipfile(path):
        return "it has the format of torch before 1.6"
    with zipfile.ZipFile(path) as archive:
        if any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist()):
            return "it is compressed"
    return ""


def _assigning_load_state_dict(original: Callable[..., Any], checkpoints: Checkpoints) -> Callable[..., Any]:
    def load_state_dict(module: nn.Module, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("assign") or len(args) > 1 or type(module).load_state_dict is not load_state_dict:
            return original(module, state_dict, *args, **kwargs)
        plan = _Plan.make(module, state_dict, checkpoints)
        if plan is None:
            return original(module, state_dict, *args, **kwargs)
        answer = original(module, plan.values, *args, **{**kwargs, "assign": True})
        plan.finish(module, checkpoints)
        return answer

    return load_state_dict


@dataclass
class _Plan:
    """One call of `load_state_dict` with assignment.

    Attributes:
        values: what is given to torch: the covered tensors made fit, everything else as it was.
        ties: names that share one parameter, in the order in which a copy would have written them.
        before: for each covered name the memory that its tensor had, and where in it.
    """

    values: dict[str, Any]
    ties: list[list[str]]
    before: dict[str, tuple[StorageWeakRef, Place]]

    @classmethod
    def make(cls, module: nn.Module, state_dict: Mapping[str, Any], checkpoints: Checkpoints) -> _Plan | None:
        """The plan, or ``None`` when only a copy does what a copy does."""
        targets: dict[str, Any] = module.state_dict(keep_vars=True)
        names_of: dict[int, list[str]] = {}
        for name, target in targets.items():
            if isinstance(target, Tensor):
                names_of.setdefault(target.untyped_storage()._cdata, []).append(name)
        ties = [names for names in names_of.values() if len(names) > 1]
        if any(targets[name] is not targets[names[0]] for names in ties for name in names):
            return None  # different views of one memory
        values: dict[str, Any] = dict(state_dict)
        before = {}
        for name, target in targets.items():
            value = state_dict.get(name)
            if isinstance(value, Tensor) and isinstance(target, Tensor) and value.shape == target.shape:
                values[name] = _fit(value.detach(), target, checkpoints)
                before[name] = (StorageWeakRef(target.untyped_storage()), Place.of(target))
        metadata = getattr(state_dict, "_metadata", None)
        if metadata is not None:
            values = _WithMetadata(values)
            values._metadata = metadata
        return cls(values, ties, before)

    def finish(self, module: nn.Module, checkpoints: Checkpoints) -> None:
        """Ties again what was tied, and fills memory that somebody else still holds.

        Raises:
            GuardTrippedError: when a covered tensor is not the checkpoint's afterwards.
        """
        for names in self.ties:
            covered = [name for name in names if name in self.before]
            if covered:
                winner = _find(module, covered[-1])
                for name in names:
                    _put(module, name, winner)
                    self.values[name] = winner
        for name, (storage, place) in self.before.items():
            tensor = _find(module, name)
            if tensor is None:
                continue
            if not _same(tensor, self.values[name]):
                raise GuardTrippedError(f"{name} is not what the checkpoint says after its assignment")
            if not storage.expired():
                # Often only for a moment: a caller's own state_dict().
                checkpoints.share(tensor, storage, place)


class _WithMetadata(dict[str, Any]):
    """A state dict with the version numbers that torch keeps beside it."""

    _metadata: Any = None


def _fit(value: Tensor, target: Tensor, checkpoints: Checkpoints) -> Tensor:
    """``value`` with the dtype, device and strides of ``target``, in memory of its own."""
    same_kind = value.dtype == target.dtype and value.device == target.device
    if target.device.type == "meta":
        raise GuardTrippedError("a parameter has no memory (meta device)")
    if same_kind and value.stride() == target.stride() and checkpoints.take(value):
        checkpoints.assigned += 1
        return value
    checkpoints.copied += 1
    if value.stride() == target.stride() and not same_kind:
        return value.to(device=target.device, dtype=target.dtype)
    made = torch.empty_strided(target.size(), target.stride(), dtype=target.dtype, device=target.device)
    return made.copy_(value)


def _same(tensor: Tensor, value: Tensor) -> bool:
    shape = (tensor.dtype, tensor.shape, tensor.stride()) == (value.dtype, value.shape, value.stride())
    return shape and bool(tensor.data_ptr() == value.data_ptr())


def _find(module: nn.Module, name: str) -> Tensor | None:
    """The parameter or buffer ``name``; ``None`` when a module keeps it in its own way."""
    *path, leaf = name.split(".")
    owner: Any = module
    for part in path:
        owner = getattr(owner, part, None)
    found = getattr(owner, leaf, None)
    return found if isinstance(found, Tensor) else None


def _put(module: nn.Module, name: str, tensor: Tensor | None) -> None:
    *path, leaf = name.split(".")
    setattr(module.get_submodule(".".join(path)), leaf, tensor)


def _tensors_in(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors_in(item)
