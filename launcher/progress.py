"""Progress as data: produced once, shown in the terminal, the loading page, the banner, ``status`` and metrics.

Invariants: a value is immutable and serialises to plain JSON; ``done`` never exceeds ``total`` when there is one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


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
    """

    stage: str
    done: float = 0.0
    total: float | None = None
    unit: str = "steps"
    rate_per_s: float | None = None
    eta_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object; keys are the attribute names."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Progress:
        """The value from `to_json`'s object; unknown keys are ignored.

        Raises:
            KeyError: when ``stage`` is missing.
        """
        return cls(
            stage=str(data["stage"]),
            done=float(data.get("done") or 0.0),
            total=None if data.get("total") is None else float(data["total"]),
            unit=str(data.get("unit") or "steps"),
            rate_per_s=None if data.get("rate_per_s") is None else float(data["rate_per_s"]),
            eta_s=None if data.get("eta_s") is None else float(data["eta_s"]),
        )
