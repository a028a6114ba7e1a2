"""What does not fit into memory is spoken in two halves.

Invariants: a text is spoken anew only when none of it was heard; halves are not halved again, because what does not
fit in half will hardly fit in a quarter, and the listener waits; joined, the halves are the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TypeVar

from launcher.errors import OUT_OF_MEMORY, EngineError
from webui.text import is_speakable, split_clauses

Sound = TypeVar("Sound")


def speak_or_halve(
    text: str,
    speak: Callable[[str], Iterator[Sound]],
    *,
    is_full: Callable[[Exception], bool],
    make_room: Callable[[], None] = lambda: None,
) -> Iterator[Sound]:
    """The sound of a text; when the memory is full before any of it, that of its two halves.

    Args:
        text: of one segment.
        speak: makes the sound of a text.
        is_full: whether an exception of it means that memory is lacking.
        make_room: gives back what the failed attempt has left.

    Raises:
        EngineError: with the code ``out_of_memory`` when a half does not fit either, or some of the text was heard.
    """
    parts, is_first = [text], True
    while parts:
        part, heard, full = parts.pop(0), False, False
        try:
            for sound in speak(part):
                heard = True
                yield sound
        except Exception as error:
            if not is_full(error):
                raise
            full = True
        # Here the exception has gone, and with it the frames that held what the attempt has left.
        if full:
            make_room()
            parts = halves(part) if is_first and not heard else []
            if not parts:
                raise out_of_memory()
        is_first = False


def halves(text: str) -> list[str]:
    """The text cut near its middle, after punctuation or a blank if there is any; empty when it cannot be cut."""
    middle = len(text) / 2
    clauses = list(accumulate(map(len, split_clauses(text))))[:-1]
    blanks = [index + 1 for index, character in enumerate(text) if character.isspace()]
    for places in (clauses, blanks, range(1, len(text))):
        for place in sorted(places, key=lambda place: abs(place - middle)):
            if is_speakable(text[:place]) and is_speakable(text[place:]):
                return [text[:place], text[place:]]
    return []


def out_of_memory() -> EngineError:
    """What is said when there is no way left."""
    return EngineError(
        "The memory is not enough for a sentence of this length.",
        fix="Shorten the sentences or set generation.segment_tokens lower; `tts-launcher engine ls` shows who holds "
        "the GPU's memory.",
        code=OUT_OF_MEMORY,
    )
