"""Rows put together: when each is heard, the one sound of them all, and subtitles with those times.

Invariants: rows never sound at the same time; a row that has its time never begins before it; sound and subtitles are
made from the same places, to the sample; nothing longer than a row is held in memory.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from webui.audio import Pcm, resample, wav_header
from webui.jobs.records import JobRow
from webui.markup import plain

#: Silence is made in pieces of so many samples.
_BLOCK = 65_536
_HEADER_BYTES = 44


@dataclass(frozen=True)
class Place:
    """When a row is heard.

    Attributes:
        row: one that has a sound.
        start, samples: at the rate of the whole.
    """

    row: JobRow
    start: int
    samples: int

    @property
    def end(self) -> int:
        """The first sample after it."""
        return self.start + self.samples


@dataclass(frozen=True)
class Whole:
    """Rows in their places.

    Attributes:
        places: in order.
        sample_rate_hz: of the whole: the first row's, or the next that a format has.
    """

    places: tuple[Place, ...]
    sample_rate_hz: int

    @property
    def samples(self) -> int:
        """Length of the whole."""
        return self.places[-1].end if self.places else 0


def arrange(rows: Sequence[JobRow], gap_s: float, rates_hz: tuple[int, ...] = ()) -> Whole:
    """Where the rows that have a sound go.

    Args:
        rows: of a job, in order.
        gap_s: silence after a row that does not say how much.
        rates_hz: sample rates that the whole may have, the smallest first; empty: any.
    """
    heard = [row for row in rows if row.file and row.samples]
    rate_hz = heard[0].sample_rate_hz if heard else 0
    if rates_hz and heard:
        rate_hz = min((rate for rate in rates_hz if rate >= rate_hz), default=rates_hz[-1])
    places: list[Place] = []
    end = earliest = 0
    for row in heard:
        samples = row.samples if row.sample_rate_hz == rate_hz else round(row.samples * rate_hz / row.sample_rate_hz)
        start = earliest if row.start_s is None else max(end, round(row.start_s * rate_hz))
        places.append(Place(row, start, samples))
        end = start + samples
        earliest = end + round((gap_s if row.gap_s is None else row.gap_s) * rate_hz)
    return Whole(tuple(places), rate_hz)


def sound_of(whole: Whole, folder: Path) -> Iterator[bytes]:
    """The samples of the whole, piece by piece; ``folder`` holds the rows' files. A file that is gone is silence."""
    at = 0
    for place in whole.places:
        while at < place.start:
            silence = min(place.start - at, _BLOCK)
            yield bytes(2 * silence)
            at += silence
        pcm = _read(folder / place.row.file)
        pcm = resample(pcm, place.row.sample_rate_hz, whole.sample_rate_hz)[: place.samples]
        yield pcm.astype("<i2", copy=False).tobytes() + bytes(2 * (place.samples - len(pcm)))
        at = place.end


def wav_of(whole: Whole, folder: Path) -> Iterator[bytes]:
    """The whole as a WAV file, while it is put together."""
    yield wav_header(whole.sample_rate_hz, 2 * whole.samples)
    yield from sound_of(whole, folder)


def srt_of(whole: Whole) -> str:
    """Subtitles with the times at which the rows are really heard."""
    numbered = enumerate(whole.places, 1)
    return "\n".join(f"{number}\n{_times(place, whole, ',')}\n{_shown(place.row)}\n" for number, place in numbered)


def vtt_of(whole: Whole) -> str:
    """`srt_of` as WebVTT."""
    blocks = [f"{_times(place, whole, '.')}\n{html.escape(_shown(place.row), quote=False)}\n" for place in whole.places]
    return "\n".join(["WEBVTT\n", *blocks])


def _shown(row: JobRow) -> str:
    """A row's text on lines that cannot end its block."""
    return "\n".join(line for line in plain(str(row.request["text"])).replace("-->", "→").split("\n") if line.strip())


def _times(place: Place, whole: Whole, point: str) -> str:
    return " --> ".join(_time(at / whole.sample_rate_hz, point) for at in (place.start, place.end))


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _read(path: Path) -> Pcm:
    try:
        return np.frombuffer(path.read_bytes()[_HEADER_BYTES:], "<i2")
    except OSError:
        return np.zeros(0, np.int16)
