"""Numbers in Prometheus's text format, version 0.0.4.

Invariant: pure text work with the standard library alone, because the supervisor, which stays small, writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from launcher.alarms.names import Metric

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


@dataclass(frozen=True)
class Family:
    """A metric with its values.

    Attributes:
        metric: which.
        values: label values, in the order of the metric's labels, to number.
    """

    metric: Metric
    values: Mapping[tuple[str, ...], float]


def family(metric: Metric, values: Mapping[str, float] | float) -> Family:
    """A family of a metric with one label, or with none.

    Args:
        metric: which.
        values: label's value to number, or the number.
    """
    if isinstance(values, Mapping):
        return Family(metric, {(label,): value for label, value in values.items()})
    return Family(metric, {(): values})


def to_text(families: Iterable[Family]) -> str:
    """The families as text; those without values are left out."""
    lines: list[str] = []
    for one in families:
        if one.values:
            lines.append(f"# HELP {one.metric.name} {one.metric.meaning}")
            lines.append(f"# TYPE {one.metric.name} {one.metric.kind}")
            lines += [
                f"{one.metric.name}{_labels(one.metric.labels, labels)} {_number(value)}"
                for labels, value in sorted(one.values.items())
            ]
    return "".join(f"{line}\n" for line in lines)


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = [f'{name}="{_unicode(value).translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True)]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _unicode(value: str) -> str:
    """The text with a question mark for what has no encoding, as in the name of a folder that is no Unicode."""
    return value.encode("utf-8", "replace").decode()


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
