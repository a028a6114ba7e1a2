"""Progress as lines of text: bars for a terminal, one plain line for everything else.

Invariants: pure; no line is wider than it may be; the total comes first, then one line for each file on its way.
"""

from __future__ import annotations

from collections.abc import Sequence

from launcher.progress import Part, Progress

#: What the stages are called; any other word is shown as it is.
_STAGES = {
    "assemble": "putting the voice together",
    "build": "building the page",
    "fetch": "fetching",
    "grammar": "building the rules for reading numbers in this language, once",
    "import": "importing packages",
    "list": "asking the mirrors",
    "load": "loading the weights",
    "look": "looking for the weights",
    "queue": "waiting for the engine",
    "restart": "the engine starts again",
    "resume": "checking what is there already",
    "serve": "opening the port",
    "speak": "speaking",
    "split": "preparing the voice",
    "verify": "checking the weights",
    "warm_up": "warming up",
}
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_BAR_CELLS = 16
#: What stands behind a name: the bar, percent, amounts, speed, time left; of steps only bar, percent and time left.
_REST_CELLS, _REST_OF_STEPS_CELLS = 62, 40
_NAME_CELLS = (16, 40)
#: Filled, empty, and what stands for letters that are left out; the second set for terminals with ASCII only.
BLOCKS = "█░…"
ASCII_BLOCKS = "#.~"
#: A terminal that tells no width.
USUAL_WIDTH = 80


def bars(progress: Progress, width: int = USUAL_WIDTH, blocks: str = BLOCKS) -> list[str]:
    """The lines for a terminal of ``width`` columns: all together, each file, who sends them.

    Args:
        progress: what to show.
        width: columns.
        blocks: `BLOCKS` or `ASCII_BLOCKS`.
    """
    low, high = _NAME_CELLS
    rest = _REST_CELLS if progress.unit == "bytes" else _REST_OF_STEPS_CELLS
    cells = min(high, max(low, width - rest))
    name = _name(progress)
    if len(name) > cells and progress.total:  # of words the beginning says more, of paths the end
        name = f"{name[: cells - 1]}{blocks[2]}"
    whole = Part(name, progress.done, progress.total)
    lines = [_line(whole, cells, blocks, progress.unit, _facts(progress))]
    lines += [_line(part, cells, blocks, progress.unit, _speed(progress, part)) for part in progress.parts]
    lines += [f"from {_hosts(progress)}"] if progress.hosts else []
    return [line[: max(20, width - 1)] for line in lines]


def plain(progress: Progress) -> str:
    """One line without a bar."""
    parts = [_name(progress)]
    if progress.total and (progress.done or progress.unit == "bytes"):
        parts.append(f"{percent(progress)} %")
    if progress.unit == "bytes" and progress.total:
        parts.append(_amount(progress.done, progress.total))
    return "  ".join([*parts, *_facts(progress), *([f"from {_hosts(progress)}"] if progress.hosts else [])])


def percent(progress: Progress | Part) -> int:
    """Whole percent that are done, rounded down; 0 while the total is not known."""
    return int(100 * min(progress.done / progress.total, 1.0)) if progress.total else 0


def size(value: float) -> str:
    """Bytes as people write them: ``1.2 GB``."""
    for unit, name in _UNITS:
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:.0f} B"


def duration(seconds: float) -> str:
    """``45 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _name(progress: Progress) -> str:
    return _STAGES.get(progress.stage, progress.stage.replace("_", " "))


def _line(part: Part, cells: int, blocks: str, unit: str, facts: Sequence[str]) -> str:
    if not part.total:
        return "  ".join([part.name, *facts])
    filled = int(_BAR_CELLS * min(part.done / part.total, 1.0))
    bar = blocks[0] * filled + blocks[1] * (_BAR_CELLS - filled)
    amount = [_amount(part.done, part.total)] if unit == "bytes" else []
    return "  ".join([f"{_shorten(part.name, cells, blocks[2]):<{cells}} {bar} {percent(part):3d} %", *amount, *facts])


def _facts(progress: Progress) -> list[str]:
    """Speed and time left."""
    facts = []
    if progress.unit == "bytes" and progress.rate_per_s:
        facts.append(f"{progress.rate_per_s / 1e6:.1f} MB/s")
    if progress.eta_s is not None:
        facts.append(f"{duration(progress.eta_s)} left")
    return facts


def _hosts(progress: Progress) -> str:
    shown = ((host.name, f" {host.rate_per_s / 1e6:.1f} MB/s" if host.rate_per_s else "") for host in progress.hosts)
    return ", ".join(name + speed for name, speed in shown)


def _speed(progress: Progress, part: Part) -> list[str]:
    return [f"{part.rate_per_s / 1e6:.1f} MB/s"] if part.rate_per_s and progress.unit == "bytes" else []


def _amount(done: float, total: float) -> str:
    """``1.2 of 3.4 GB``."""
    done, whole = min(done, total), size(total)
    number, _, unit = size(done).partition(" ")
    return f"{number} of {whole}" if whole.endswith(f" {unit}") else f"{size(done)} of {whole}"


def _shorten(name: str, cells: int, mark: str) -> str:
    """The end of a long path, which tells files apart."""
    return name if len(name) <= cells else f"{mark}{name[1 - cells :]}"
