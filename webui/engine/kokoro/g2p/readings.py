"""How a text will be read, in the notations that people know: pinyin, the CMU dictionary's, kana.

Invariants: what is shown is what is spoken (numbers written out, tones after sandhi); pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from webui.engine.base import WordReading
from webui.engine.kokoro.g2p.sandhi import Word

#: The voice's English symbols in the notation of the CMU pronouncing dictionary (http://www.speech.cs.cmu.edu/cgi-bin/cmudict).
_VOWELS = {
    **{"A": "EY", "I": "AY", "W": "AW", "Y": "OY", "O": "OW", "i": "IY", "u": "UW", "ɑ": "AA", "ɔ": "AO", "ɛ": "EH"},
    **{"ɪ": "IH", "ʊ": "UH", "ʌ": "AH", "ə": "AH", "ᵊ": "AH", "ᵻ": "IH", "æ": "AE", "ɜ": "ER", "ɚ": "ER", "a": "AA"},
}
_CONSONANTS = {
    **{"b": "B", "d": "D", "f": "F", "h": "HH", "j": "Y", "k": "K", "l": "L", "m": "M", "n": "N", "p": "P", "s": "S"},
    **{"t": "T", "v": "V", "w": "W", "z": "Z", "ɡ": "G", "ŋ": "NG", "ɹ": "R", "ʃ": "SH", "ʒ": "ZH", "ð": "DH"},
    **{"θ": "TH", "ʤ": "JH", "ʧ": "CH", "T": "T", "ɾ": "T", "ʔ": "T"},
}
_STRESS = {"ˈ": "1", "ˌ": "2"}


def pinyin_readings(words: Iterable[Word]) -> Iterator[WordReading]:
    """Chinese words with pinyin and tone numbers, as in ``yin2 hang2``; 5 is the neutral tone."""
    for word in words:
        text = "".join(reading.character + ("儿" if reading.erhua else "") for reading in word)
        spelled = (f"{reading.base}{'r' if reading.erhua else ''}{reading.tone}" for reading in word)
        yield WordReading(text, "zh", "pinyin", " ".join(spelled))


def cmu_readings(said: str, symbols: str) -> Iterator[WordReading]:
    """English words with their phones, as in ``HH AH0 L OW1``.

    Args:
        said: the text with everything written out.
        symbols: the voice's, of the whole text.
    """
    words, read = said.split(), symbols.split()
    if len(words) != len(read):  # a stop that stands alone, or a word that became two
        words, read = [said.strip()], [symbols]
    for word, own in zip(words, read, strict=True):
        if phones := cmu_phones(own):
            yield WordReading(word.strip('.,;:!?()"“”—…'), "en", "cmu", phones)


def cmu_phones(symbols: str) -> str:
    """The phones of the voice's English symbols; what is no sound is left out."""
    phones: list[str] = []
    stress = "0"
    for index, symbol in enumerate(symbols):
        follows = symbols[index + 1 : index + 2]
        if symbol in _STRESS:
            stress = _STRESS[symbol]
        elif symbol in _VOWELS:
            vowel = "ER" if symbol == "ə" and follows == "ɹ" else _VOWELS[symbol]
            phones.append(vowel + stress)
            stress = "0"
        elif symbol in _CONSONANTS and not (symbol == "ɹ" and phones and phones[-1][:2] == "ER"):
            phones.append(_CONSONANTS[symbol])
    return " ".join(phones)
