"""A glossary applied: terms replaced by how they are read.

Invariants: what was put in is not looked at again; the time is bounded by the text's length times how many lengths the
terms have, whatever the terms are: a search for all of them at once can be made to go back over itself for minutes.
"""

from __future__ import annotations


def apply_glossary(text: str, glossary: tuple[tuple[str, str], ...]) -> str:
    """The text with every term of the glossary replaced; longer terms first, upper and lower case are the same."""
    readings = {term.casefold(): reading for term, reading in glossary if term}
    if not readings:
        return text
    # By the first letter: at most places no term begins.
    lengths: dict[str, list[int]] = {}
    for term in {term for term, _ in glossary if term}:
        lengths.setdefault(term[0].casefold(), []).append(len(term))
    longest_first = {letter: sorted(set(found), reverse=True) for letter, found in lengths.items()}
    parts: list[str] = []
    at = 0
    while at < len(text):
        for length in longest_first.get(text[at].casefold(), ()):
            reading = readings.get(text[at : at + length].casefold())
            if reading is not None:
                parts.append(reading)
                at += length
                break
        else:
            parts.append(text[at])
            at += 1
    return "".join(parts)
