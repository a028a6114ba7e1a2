"""How a text is cut into segments: the first is short so that sound comes early, later ones grow.

Sound must be made faster than it is played: at a real-time factor of 0.5 the next segment may last up to twice as
long as the one that plays; `GROWTH` keeps a margin of a third. Invariants: the segments joined are the text; a
segment lasts about `LONGEST_S` at most, because the network's memory grows with it and is never given back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from webui.text import is_speakable

#: Estimated length of the first segment: one clause of about ten Chinese characters.
FIRST_S = 2.4
#: A first clause may be so much longer before it is cut inside.
FIRST_TOLERANCE = 1.35
GROWTH = 1.5
#: A text that is no longer than this is not cut inside a clause: one whole breath is understood better.
SHORT_S = 5.0
#: The network takes about 25 MB for every second of audio that it makes in one go.
LONGEST_S = 7.0

_CHARACTER_S = 0.22  # a Chinese or Japanese character: 4.5 syllables a second
_DIGIT_S = 0.25
_LATIN_S = 1 / 15  # an English letter: about 3.6 words a second
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_SENTENCE_END = re.compile(r"[。！？!?…\n]\W*$|\.[\"'”’)\]]*\s*$")
#: Chinese words after which a breath hurts least: particles, then conjunctions and prepositions stand before one.
_AFTER = frozenset("的了着过地得是在有")
_BEFORE = frozenset("和与及或而但并就也都把被向从对")


def estimate_s(text: str) -> float:
    """About how long the text takes to say at natural speed, in seconds."""
    total = 0.0
    for character in text:
        if _CJK.match(character):
            total += _CHARACTER_S
        elif character.isdigit():
            total += _DIGIT_S
        elif not character.isspace():
            total += _LATIN_S
    return total


def ends_sentence(text: str) -> bool:
    """Whether a sentence ends where the text does."""
    return bool(_SENTENCE_END.search(text))


def plan_segments(clauses: Sequence[str], speed: float = 1.0) -> list[str]:
    """Joins clauses to segments that grow, and cuts clauses that are too long.

    Args:
        clauses: the text in pieces that end where a voice may pause; joined they are the text.
        speed: of the request; slow speech lasts longer, so that it gets shorter segments.

    Returns:
        Segments; joined they are the text.
    """
    segments: list[str] = []
    current = ""
    budget = FIRST_S * speed
    longest = LONGEST_S * speed
    short = sum(map(estimate_s, clauses)) <= SHORT_S * speed
    for clause in clauses:
        limit = longest if short or segments or current else budget * FIRST_TOLERANCE
        for part in _bounded(clause, limit, budget):
            fits = estimate_s(current + part) <= budget
            enough = estimate_s(current) >= budget / 2 and ends_sentence(current)
            if current and (not fits or enough):
                segments.append(current)
                budget = min(longest, budget * GROWTH)
                current = ""
            current += part
    if current:
        segments.append(current)
    return _with_something_to_say(segments)


def _bounded(clause: str, limit: float, target: float) -> Iterator[str]:
    """The clause in pieces of at most ``limit`` estimated seconds, the first about ``target`` when it is cut."""
    while estimate_s(clause) > limit:
        cut = _best_cut(clause, min(target, limit))
        yield clause[:cut]
        clause = clause[cut:]
    yield clause


def _best_cut(text: str, target: float) -> int:
    """Where to cut so that about ``target`` seconds come before; never inside a word, a number or at the very end."""
    scores: list[tuple[float, int]] = []
    spent = 0.0
    for index in range(1, len(text)):
        spent += estimate_s(text[index - 1])
        if spent > target * 1.4:
            break
        penalty = _cut_penalty(text[index - 1], text[index])
        scores.append((abs(spent - target) / target + penalty, index))
    return min(scores)[1] if scores else len(text)


def _cut_penalty(before: str, after: str) -> float:
    if before.isspace():
        return 0.0
    if before in _AFTER or after in _BEFORE:
        return 0.1
    if after.isspace() or not after.isalnum():
        return 2.0  # what follows belongs to what was said
    if _CJK.match(before) and _CJK.match(after):
        return 0.5
    if _CJK.match(before) or _CJK.match(after):
        return 0.2
    return 3.0  # inside a word or a number


def _with_something_to_say(segments: list[str]) -> list[str]:
    """Joins a segment of punctuation or space alone to its neighbour."""
    joined: list[str] = []
    for segment in segments:
        if joined and not (is_speakable(segment) and is_speakable(joined[-1])):
            joined[-1] += segment
        else:
            joined.append(segment)
    return joined
