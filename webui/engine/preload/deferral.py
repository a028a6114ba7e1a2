"""Random initialisation put off until somebody reads it: what a checkpoint covers is then never drawn at all.

A dispatch mode sees every operation of the thread that builds a model. A random fill of a whole storage becomes a
promise; scalar changes of a promised storage are added to it; the arithmetic of weight normalisation on promised
tensors makes promised results. Any other operation that meets a promised tensor settles it first.

Invariants: no operation ever sees a storage that upstream would have filled and we have not; constants are filled as
upstream does; nothing of torch but the two functions named in `_WHOLE_FUNCTIONS` is replaced, and they are put back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, UntypedStorage
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from webui.engine.preload.operations import kind_of, tensors_among
from webui.engine.preload.patches import replaced
from webui.engine.preload.promises import Computation, Operand, Place, Promise, Step

#: Smaller tensors are filled at once: a promise costs more than they do (about 15 us; normal_ draws 100 values a us).
MIN_ELEMENTS = 2048
#: Initialisers that look at what they have drawn; they are put off whole, in place of their single operations.
_WHOLE_FUNCTIONS = ("trunc_normal_", "orthogonal_")


class Deferral(TorchDispatchMode):  # type: ignore[misc]
    """Puts random initialisation off while it is active, in the thread that entered it.

    Use as a context manager around the construction, then call `settle_rest`.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spares every operation a wrapper for a compiler that does not run here."""
        return False

    def __init__(self) -> None:
        super().__init__()
        self.put_off = 0
        self.settled_early = 0
        self._promises: dict[int, Promise] = {}
        self._known: dict[str, tuple[tuple[Place, ...], bool]] = {}
        self._patches = ExitStack()

    def __enter__(self) -> Deferral:
        super().__enter__()
        for name in _WHOLE_FUNCTIONS:
            original = getattr(torch.nn.init, name)
            self._patches.enter_context(replaced(torch.nn.init, name, self._whole(original)))
        return self

    def __exit__(self, *error: object) -> None:
        self._patches.close()
        super().__exit__(*error)

    def settle_rest(self) -> int:
        """Fills what nobody has covered, as upstream does; returns how many storages that were."""
        rest = [promise for promise in self._promises.values() if promise.wanted and not promise.settled]
        for promise in rest:
            promise.settle()
        self._promises.clear()
        return len(rest)

    def promised(self, tensor: Tensor) -> bool:
        """Whether the content of ``tensor`` is still put off."""
        return self._promise(tensor) is not None

    def supersede(self, memory: StorageWeakRef, place: Place, value: Tensor) -> bool:
        """Promises ``value`` as the content of a storage whose own content was put off; whether that was possible.

        Args:
            memory: the storage.
            place: a part of it; only all of it can be superseded.
            value: of the same shape.
        """
        promise = self._promises.get(memory.cdata)
        if promise is None or promise.settled or not promise.wanted:
            return False
        target = place.on(UntypedStorage._new_with_weak_ptr(memory.cdata))
        if not self._covers(target):
            return False
        self._forget(target)
        promise = self._promises[self._key(target)] = Promise(target.untyped_storage())
        promise.add(Step(place, lambda tensor: tensor.copy_(value)))
        return True

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs, changes or puts off one operation."""
        kwargs = kwargs or {}
        kind = kind_of(func)
        if kind == "look" or (not self._promises and kind != "fill"):
            return func(*args, **kwargs)
        if kind in ("fill", "change") and self._put_off_change(func, kind, args, kwargs):
            return args[0]
        if kind == "copy" and self._covers(args[0]):
            # All of it is overwritten: what was promised is not needed, unless it is also the source.
            source = args[1] if len(args) > 1 and isinstance(args[1], Tensor) else None
            if source is None or self._key(source) != self._key(args[0]):
                self._forget(args[0])
        if kind == "derive":
            made = self._derive(func, args, kwargs)
            if made is not None:
                return made
        for tensor in tensors_among(args, kwargs):
            self.settled_early += self.settle(tensor)
        return func(*args, **kwargs)

    def settle(self, tensor: Tensor) -> bool:
        """Fills the storage of ``tensor`` if that was put off; whether it was."""
        promise = self._promise(tensor)
        if promise is None:
            return False
        promise.settle()
        self._promises.pop(self._key(tensor), None)
        return True

    def _put_off_change(self, func: Any, kind: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        target = args[0]
        if kwargs.get("generator") is not None or not isinstance(target, Tensor):
            return False
        if any(True for _ in tensors_among(args[1:], kwargs)):
            return False
        rest, options = tuple(args[1:]), dict(kwargs)
        return self._put_off(target, lambda tensor: func(tensor, *rest, **options), fills=kind == "fill")

    def _put_off(self, target: Tensor, change: Callable[[Tensor], object], *, fills: bool) -> bool:
        """Adds a change to the target's promise, makes one if the change fills it all; whether that was possible."""
        if fills and target.numel() >= MIN_ELEMENTS and self._covers(target):
            self._forget(target)
            self._promises[self._key(target)] = Promise(target.untyped_storage())
            self.put_off += 1
        promise = self._promise(target)
        if promise is None or promise.has_readers:  # what was made from it must keep the numbers of before
            return False
        promise.add(Step(Place.of(target), change))
        return True

    def _derive(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Promised results of an operation on promised tensors, or ``None``: it must run."""
        promises = [self._promise(item) for item in args if isinstance(item, Tensor)]
        if not any(promises) or any(isinstance(item, Tensor) for item in kwargs.values()):
            return None
        arguments = []
        for item in args:
            promise = self._promise(item) if isinstance(item, Tensor) else None
            arguments.append(Operand(promise, Place.of(item)) if promise is not None else item)
        computation = Computation(func, arguments, kwargs)
        places, several = self._places_of_results(func, args, kwargs)
        device = next(item.device for item in args if isinstance(item, Tensor))
        results = tuple(torch.empty_strided(p.size, p.stride, dtype=p.dtype, device=device) for p in places)
        for index, result in enumerate(results):
            promise = Promise(result.untyped_storage(), [p for p in promises if p is not None])
            promise.add(Step(Place.of(result), _copier(computation, index, len(results))))
            self._promises[self._key(result)] = promise
        return results if several else results[0]

    def _places_of_results(
        self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[tuple[Place, ...], bool]:
        """Sizes, strides and types that an operation's results will have, and whether there are several."""
        shapes = [Place.of(item) if isinstance(item, Tensor) else item for item in args]
        key = repr((func, shapes, kwargs))  # a network's layers repeat, and asking torch costs a millisecond
        if key not in self._known:
            made = func(*[_shape_only(item) for item in args], **kwargs)
            several = not isinstance(made, Tensor)
            self._known[key] = tuple(map(Place.of, made if several else (made,))), several
        return self._known[key]

    def _whole(self, original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def initialise(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if kwargs.get("generator") is None and self._put_off(
                tensor, lambda target: original(target, *args, **kwargs), fills=True
            ):
                return tensor
            return original(tensor, *args, **kwargs)

        return initialise

    @staticmethod
    def _key(tensor: Tensor) -> int:
        return int(tensor.untyped_storage()._cdata)

    def _promise(self, tensor: Tensor) -> Promise | None:
        if tensor.layout is not torch.strided or tensor.device.type == "meta":
            return None
        promise = self._promises.get(self._key(tensor))
        return None if promise is None or promise.settled else promise

    def _forget(self, tensor: Tensor) -> None:
        promise = self._promises.pop(self._key(tensor), None)
        if promise is not None:
            promise.abandon()

    @staticmethod
    def _covers(tensor: Tensor) -> bool:
        """Whether ``tensor`` is all of its storage."""
        if tensor.layout is not torch.strided or tensor.device.type == "meta" or not tensor.is_contiguous():
            return False
        return bool(tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes())


def _shape_only(item: Any) -> Any:
    if not isinstance(item, Tensor):
        return item
    return torch.empty_strided(item.size(), item.stride(), dtype=item.dtype, device="meta")


def _copier(computation: Computation, index: int, count: int) -> Callable[[Tensor], object]:
    return lambda tensor: tensor.copy_(computation.result(index, count))
