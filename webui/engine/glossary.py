"""A glossary applied: terms replaced by how they are read. Invariant: what was put in is not looked at again."""

from __future__ import annotations

import re


def apply_glossary(text: str, glossary: tuple[tuple[str, str], ...]) -> str:
    """The text with every term of the glossary replaced; longer terms first, upper and lower case are the same."""
    if not glossary:
        return text
    readings = {term.casefold(): reading for term, reading in glossary}
    terms = sorted((term for term, _ in glossary), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, terms)), re.IGNORECASE)
    return pattern.sub(lambda match: readings.get(match[0].casefold(), match[0]), text)
