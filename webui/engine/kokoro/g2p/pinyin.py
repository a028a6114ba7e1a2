"""Pinyin -> the symbols with which the voice was trained.

The voice's Mandarin is IPA with one sign for each affricate, arrows for tones and one sign for the apical vowels. The
package `pinyin-to-ipa` gives textbook IPA; the table here changes it where the voice's signs differ.

Invariants: pure; the same syllable gives the same symbols; importing this loads nothing.
"""

from __future__ import annotations

from functools import lru_cache

# Textbook IPA on the left. Tone letters are ordered: a dipping tone contains a rising one.
_ADAPTED = (
    ("ʈʂ", "ꭧ"),
    ("tɕ", "ʨ"),
    ("ts", "ʦ"),
    ("ɻ\u0329", "ɨ"),
    ("ɹ\u0329", "ɨ"),
    ("\u032f", ""),  # the mark of a glide
    ("˧˩˧", "↓"),
    ("˧˥", "↗"),
    ("˥˩", "↘"),
    ("˥", "→"),
)


@lru_cache(maxsize=4096)
def symbols(syllable: str, tone: int) -> str:
    """A syllable's symbols, the tone's arrow after its vowel (none for tone 5).

    Args:
        syllable: pinyin without tone, ``v`` or ``ü`` for the front vowel (``lv``).
        tone: 1 to 5.

    Returns:
        The symbols, empty when there is no such syllable.
    """
    from pinyin_to_ipa import pinyin_to_ipa

    try:
        variants = pinyin_to_ipa(f"{syllable}{tone}")
    except (ValueError, AssertionError, KeyError):
        return ""
    ipa = " ".join(variants[0])
    for textbook, adapted in _ADAPTED:
        ipa = ipa.replace(textbook, adapted)
    return ipa.replace(" ", "")
