"""A process that writes to a library without a pause, and says what it was told is on the disk.

A driver imports everything once and forks a writer for each line that it reads; it answers with ``pid N``, then a
line of JSON after each change that the library has reported as done, then ``gone`` when the writer is dead.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from webui.library.history import Take
from webui.library.library import Library
from webui.library.recordings import VoiceRecording


def sound_of(take_id: str) -> bytes:
    """What lies in a take's file: long enough to be written in several blocks, and known from the id."""
    return hashlib.sha256(take_id.encode()).digest() * 4000


class Writer:
    """Makes random changes for ever."""

    def __init__(self, library: Library, seed: str) -> None:
        self.library = library
        self.draw = random.Random(seed)
        self.seed = seed
        self.count = 0

    def run(self) -> None:
        """Changes, and says so, until it is killed."""
        changes = (self.add_voice, self.add_take, self.add_take, self.remove_take, self.add_preset, self.add_term)
        while True:
            self.count += 1
            if said := self.draw.choice((*changes, self.star_take, self.remove_voice))():
                print(json.dumps(said), flush=True)

    def add_voice(self) -> list[Any]:
        pcm = np.random.default_rng(self.draw.randrange(2**32)).integers(-9000, 9000, 48_000).astype(np.int16)
        recording = VoiceRecording(pcm, 24_000, -20.0, -3.0, -60.0, ())
        voice, _ = self.library.voices.add(recording, {"name": f"{self.seed}-{self.count}"})
        return ["voice", voice.id]

    def remove_voice(self) -> list[Any] | None:
        voices = self.library.voices.all()
        if len(voices) < 8:
            return None
        voice = self.draw.choice(voices)
        print(json.dumps(["going", voice.id]), flush=True)
        self.library.voices.remove(voice.id)
        return ["removed", voice.id]

    def add_take(self) -> list[Any]:
        take_id = f"{self.draw.getrandbits(128):032x}"
        part = self.library.parts / f"{take_id}.flac"
        part.write_bytes(sound_of(take_id))
        values: dict[str, Any] = {"id": take_id, "file": f"{take_id}.flac", "size_bytes": part.stat().st_size}
        numbers = {"created_at": 0.0, "seed": 1, "duration_s": 1.0, "synthesis_s": 1.0, "sample_rate_hz": 24_000}
        words = {"engine": "e", "voice": "v", "language": "zh", "source": "page", "text": "长" * 3000}
        rest: dict[str, Any] = {"weights": {}, "request": {}, "segments": []}
        self.library.history.add(Take(**values, **numbers, **words, **rest), part)
        return ["take", take_id]

    def remove_take(self) -> list[Any] | None:
        return self._with_take("removed", lambda take_id: self.library.history.remove([take_id]))

    def star_take(self) -> list[Any] | None:
        return self._with_take("starred", lambda take_id: self.library.history.star(take_id, True))

    def add_preset(self) -> list[Any]:
        preset = self.library.presets.add(f"{self.seed}-{self.count}", {"request": {"text": "x" * 2000}})
        return ["preset", preset.id]

    def add_term(self) -> list[Any]:
        term, _ = self.library.glossary.add({"term": f"{self.seed}-{self.count}", "zh": "读"})
        return ["term", term.term]

    def _with_take(self, word: str, act: Any) -> list[Any] | None:
        from webui.library.history import Wanted

        takes, _ = self.library.history.page(Wanted(), limit=20)
        if not takes:
            return None
        take_id = self.draw.choice(takes).id
        if word == "removed":
            print(json.dumps(["going", take_id]), flush=True)
        act(take_id)
        return [word, take_id]


def main() -> None:
    """The driver."""
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            print("pid", os.getpid(), flush=True)
            try:
                Writer(Library(folder), line.strip()).run()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print("gone", os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
