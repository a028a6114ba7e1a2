"""Text to the symbols that the embedded voice reads: Chinese, English, Japanese, and mixtures of them.

`phonemizer` cuts a text by language; `normalize_zh`, `normalize_en` and `japanese` write out numbers and signs;
`mandarin` (with `pinyin` and `sandhi`), `english` and `japanese` give symbols; `phonemes` puts them together.

Invariants: no network, ever; nothing is loaded before it is used.
"""

from webui.engine.kokoro.g2p.phonemes import Phonemes, Syllable
from webui.engine.kokoro.g2p.phonemizer import Phonemizer

__all__ = ["Phonemes", "Phonemizer", "Syllable"]
