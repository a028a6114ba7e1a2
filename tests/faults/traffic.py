"""People who go on asking while something breaks, and what each of them got."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.faults.tones import Answer, expected_pcm, speak

#: Texts of different lengths, so that an answer to somebody else's request would show.
TEXTS = tuple(" ".join(f"word{number}" for number in range(count)) for count in (1, 2, 3, 5, 8))


def kind_of(answer: Answer, text: str) -> str:
    """What an answer is to who asked: ``right``, ``later`` (told to ask again), ``lost``, ``refused`` or ``WRONG``."""
    if answer.status == 200 and answer.whole:
        return "right" if answer.body == expected_pcm(text) else "WRONG"
    if answer.status in (429, 503):
        return "later"
    return "lost" if answer.status in (0, 200) else "refused"


@dataclass
class Seen:
    """What came of all requests.

    Attributes:
        counts: by kind, each request once and without a second try.
        gaps: (when it was asked, when a right answer came), monotonic seconds.
        details: what was said with each answer that was not right.
    """

    counts: Counter[str] = field(default_factory=Counter)
    right_at: list[tuple[float, float]] = field(default_factory=list)
    details: Counter[str] = field(default_factory=Counter)

    def recovery_s(self, since: float) -> float:
        """Seconds from ``since`` to the first right answer that was asked for after it."""
        later = [done for asked, done in self.right_at if asked >= since]
        return round(min(later) - since, 2) if later else float("inf")


class Traffic:
    """Clients in threads, each asking again as soon as it has its answer.

    Args:
        url: of the instance.
        clients: how many.
    """

    def __init__(self, url: str, clients: int = 2) -> None:
        self.seen = Seen()
        self._url = url
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(clients)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        self.wait_right(2)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)

    def wait_right(self, count: int, within_s: float = 40.0) -> None:
        """Waits until so many more right answers have come."""
        wanted, deadline = self.seen.counts["right"] + count, time.monotonic() + within_s
        while self.seen.counts["right"] < wanted:
            assert time.monotonic() < deadline, f"no right answer within {within_s:g} s: {self.seen}"
            time.sleep(0.02)

    def _ask(self, number: int) -> None:
        while not self._stop.is_set():
            text = TEXTS[number % len(TEXTS)]
            number += 1
            asked = time.monotonic()
            answer = speak(self._url, text)
            kind = kind_of(answer, text)
            with self._lock:
                self.seen.counts[kind] += 1
                if kind == "right":
                    self.seen.right_at.append((asked, time.monotonic()))
                else:
                    self.seen.details[answer.error or f"{answer.status} {_message(answer.body)}"] += 1
            if kind != "right":
                self._stop.wait(0.1)


def _message(body: bytes) -> str:
    """The sentence in an answer that is no sound."""
    import json

    try:
        error = json.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)[:160]
    except (ValueError, KeyError, TypeError):
        return body[:80].decode(errors="replace")
