"""How a text is cut for IndexTTS: a short first segment, so that sound comes early, then as much as fits.

Invariant: joined, the segments are the text; the cut needs no tokenizer, so it is known before the weights are.
"""

from __future__ import annotations

from webui.text import is_speakable, split_clauses, spoken_length

#: Upstream's own limit of a segment, in text tokens.
SEGMENT_TOKENS = 120
#: The first segment: about 2 s of speech, which a GPU makes in under a second.
FIRST_TOKENS = 24
#: `spoken_length` counts 5 for a Chinese character, which is one token, and 1 for a letter; English words have about
#: four letters to a token.
_LENGTH_PER_TOKEN = 4.5
#: Codes of one token's speech: 0.25 s for a Chinese character at 50 codes a second.
CODES_PER_TOKEN = 12.0
#: Share of a segment's limit that is used, because tokens are estimated.
_MARGIN = 0.8
_SENTENCE_ENDS = tuple("。！？!?…\n.")


def tokens(text: str) -> float:
    """About how many tokens a text has."""
    return spoken_length(text) / _LENGTH_PER_TOKEN


def plan_segments(text: str, segment_tokens: int = SEGMENT_TOKENS) -> list[str]:
    """The text in segments.

    Args:
        text: as written.
        segment_tokens: most tokens of one.
    """
    limit = max(segment_tokens * _MARGIN, 1.0)
    first_limit = min(FIRST_TOKENS, limit)
    segments: list[str] = []
    current = ""
    for clause in split_clauses(text):
        bound = limit if segments else first_limit
        full = tokens(current + clause) > bound
        # A sentence that ends within the bound of the first segment is a good first segment.
        early = not segments and current.rstrip().endswith(_SENTENCE_ENDS) and tokens(current) >= first_limit / 4
        if current and is_speakable(current) and (full or early):
            segments.append(current)
            current = ""
        current += clause
    if current and segments and not is_speakable(current):
        segments[-1] += current
    elif current:
        segments.append(current)
    return segments
