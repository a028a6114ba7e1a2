"""Progress as data: produced once, shown in the terminal, the loading page, the banner, ``status`` and metrics.

Invariants: a value is immutable and serialises to plain JSON; ``done`` never exceeds ``total`` when there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """What one file or one host has to do with a stage.

    Attributes:
        name: the file's path, or the host's name.
        done: work finished, in the stage's unit; of a host, what it sent.
        total: work in all; ``None`` for a host.
        rate_per_s: current speed; ``None`` when it is not known.
    """

    name: str
    done: float = 0.0
    total: float | None = None
    rate_per_s: float | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Part:
        """The value from a JSON object.

        Raises:
            KeyError: when ``name`` is missing.
        """
        return cls(
            str(data["name"]), float(data.get("done") or 0.0), _number(data, "total"), _number(data, "rate_per_s")
        )


@dataclass(frozen=True)
class Progress:
    """How far one stage has come.

    Attributes:
        stage: a stable word (``import``, ``assemble``, ``load``, ``warm_up``, ...); translated where it is shown.
        done: work finished, in ``unit``.
        total: work in all, in ``unit``; ``None`` while it is not known.
        unit: ``bytes``, ``steps`` or ``seconds``.
        rate_per_s: current speed in ``unit`` per second; ``None`` when it is not known.
        eta_s: seconds until this stage ends; ``None`` when it is not known.
        parts: the files that are on their way, where there are files.
        hosts: who sends them.
    """

    stage: str
    done: float = 0.0
    total: float | None = None
    unit: str = "steps"
    rate_per_s: float | None = None
    eta_s: float | None = None
    parts: Sequence[Part] = ()
    hosts: Sequence[Part] = ()

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object; keys are the attribute names; ``parts`` and ``hosts`` only when there are any."""
        data = asdict(self)
        for name in ("parts", "hosts"):
            if data[name]:
                data[name] = list(data[name])
            else:
                del data[name]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Progress:
        """The value from `to_json`'s object; unknown keys are ignored.

        Raises:
            KeyError: when ``stage`` is missing.
        """
        return cls(
            stage=str(data["stage"]),
            done=float(data.get("done") or 0.0),
            total=_number(data, "total"),
            unit=str(data.get("unit") or "steps"),
            rate_per_s=_number(data, "rate_per_s"),
            eta_s=_number(data, "eta_s"),
            parts=tuple(Part.from_json(part) for part in data.get("parts") or ()),
            hosts=tuple(Part.from_json(part) for part in data.get("hosts") or ()),
        )


def _number(data: dict[str, Any], name: str) -> float | None:
    value = data.get(name)
    return None if value is None else float(value)
