"""From text in any mixture of languages to symbols."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.errors import SpeechError
from webui.engine.kokoro.g2p import Phonemizer, Syllable
from webui.engine.kokoro.g2p.phonemes import Piece, assemble
from webui.text import clean, is_speakable

WRITTEN = st.lists(
    st.sampled_from(
        [
            "你好",
            "不",
            "一",
            "儿",
            "子",
            "龘",
            "𠮷",
            "Hello",
            " world ",
            "GPU",
            "naïve",
            "3.14",
            "-5",
            "1,000",
            "7:30",
            "2026-11-21",
            "¥",
            "$",
            "%",
            "°C",
            "km/h",
            "/",
            "-",
            "~",
            "+",
            "=",
            "@",
            "#",
            "&",
            "、",
            "，",
            "。",
            "！",
            "“",
            "）",
            "\n",
            " ",
            "v2",
            ".",
            "Ⅷ",
            "①",
            "½",
            "Привет",
            "α",
            "😀",
            "\u200d",
            "_",
            "http://a.b/c",
            "a@b.cn",
            "'",
            "(",
            "²",
            "々",
            "〇",
        ]
    ),
    min_size=1,
    max_size=14,
).map("".join)
CODES = {"nothing_to_say", "language_unsupported", "language_unavailable", "empty_text"}


def is_japanese_installed(phonemizer: Phonemizer) -> bool:
    return "ja" in phonemizer.languages


@pytest.mark.parametrize(
    ("text", "symbols", "language"),
    [
        ("Hello world!", "həlˈO wˈɜɹld!", "en"),
        ("你好，世界。", "ni↗xau↓, ʂɨ↘ʨje↘.", "zh"),
        ("你好，世界。Hello world!", "ni↗xau↓, ʂɨ↘ʨje↘. həlˈO wˈɜɹld!", "mixed"),
        ("用GPU吧", "jʊ↘ŋ ʤˌipˌijˈu pa", "mixed"),
        ("NASA 的", "nˈæsə tɤ", "mixed"),
        ("water", "wˈɔTəɹ", "en"),
        ("“你好”（世界）", "“ni↗xau↓” (ʂɨ↘ʨje↘)", "zh"),
        ("你好……", "ni↗xau↓…", "zh"),
        ("你好\n世界", "ni↗xau↓. ʂɨ↘ʨje↘", "zh"),
        ("……你好", "ni↗xau↓", "zh"),
        ("他说“你好”了", "tʰa→ ʂwo→ “ni↗xau↓” lɤ", "zh"),
        ("A计划", "ˈA ʨi↘xwa↘", "mixed"),
        ("A, B", "ˈA, bˈi", "en"),
        ("A cat", "ɐ kˈæt", "en"),
        ('他说:"OK"', "tʰa→ ʂwo→: “ˌOkˈA”", "mixed"),
        ("2 只猫", "lja↓ŋꭧɨ→ mau→", "zh"),
        ("ＡＰＩ", "ˌApˌiˈI", "en"),
    ],
)
def test_symbols(phonemizer: Phonemizer, text: str, symbols: str, language: str) -> None:
    result = phonemizer.phonemize(text)
    assert (result.symbols, result.language, result.dropped) == (symbols, language, 0)


def test_japanese(phonemizer: Phonemizer) -> None:
    if not is_japanese_installed(phonemizer):
        pytest.skip("the extra for Japanese is not installed")
    result = phonemizer.phonemize("你好，世界。Hello world! こんにちは")
    assert result.symbols == "ni↗xau↓, ʂɨ↘ʨje↘. həlˈO wˈɜɹld! koɲɲiʨiβa"
    assert result.language == "mixed"
    assert phonemizer.phonemize("東京", "ja").symbols != phonemizer.phonemize("東京", "zh").symbols
    assert phonemizer.phonemize("50%の人が1,000円で7:30に5km走る。").dropped == 0


def test_without_the_extra_japanese_is_refused(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["pyopenjtalk"] = None
import importlib.util
from pathlib import Path
from launcher.errors import SpeechError
from webui.engine.kokoro.g2p import Phonemizer, japanese
japanese.importlib.util.find_spec = lambda name: None
phonemizer = Phonemizer(Path({str(tmp_path)!r}), frozenset("abn"))
assert phonemizer.languages == ("zh", "en")
try:
    phonemizer.phonemize("こんにちは")
except SpeechError as error:
    assert error.code == "language_unavailable", error.code
    assert "pip install 'tts-launcher[ja]'" in error.fix
else:
    raise AssertionError("no error")
assert phonemizer.phonemize("我喜欢の味道这个").symbols
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "nothing_to_say"),
        ("。。。", "nothing_to_say"),
        ("Привет", "language_unsupported"),
        ("한국어", "language_unsupported"),
    ],
)
def test_what_cannot_be_read_is_refused(phonemizer: Phonemizer, text: str, code: str) -> None:
    with pytest.raises(SpeechError) as caught:
        phonemizer.phonemize(text)
    assert caught.value.code == code


def test_a_script_that_is_not_read_is_passed_over(phonemizer: Phonemizer) -> None:
    assert phonemizer.phonemize("Привет 你好").symbols == phonemizer.phonemize("你好").symbols


def test_symbols_outside_the_vocabulary_are_dropped_and_counted() -> None:
    result = assemble([Piece("a☃b"), Piece(" "), Piece("ma☃", 1)], frozenset("abm "), "zh")
    assert (result.symbols, result.syllables, result.dropped) == ("ab ma", (Syllable(3, 5, 1),), 2)


def test_long_texts_are_read_whole(phonemizer: Phonemizer) -> None:
    one = phonemizer.phonemize("今天天气很好")
    many = phonemizer.phonemize("今天天气很好。" * 300)
    assert len(many.syllables) == 300 * len(one.syllables)
    assert phonemizer.phonemize("The cat sat on the mat. " * 300).symbols.count("kˈæt") == 300
    assert phonemizer.phonemize("好" * 5000).symbols
    assert phonemizer.phonemize("x" * 500).symbols


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(WRITTEN, st.text(max_size=40)), st.sampled_from(["auto", "zh", "en"]))
def test_only_speech_errors_and_only_symbols_of_the_vocabulary(
    phonemizer: Phonemizer, vocabulary: frozenset[str], text: str, language: str
) -> None:
    try:
        result = phonemizer.phonemize(text, language)
    except SpeechError as error:
        assert error.code in CODES
        return
    assert set(result.symbols) <= vocabulary
    assert result.dropped == 0
    assert any(symbol.isalpha() for symbol in result.symbols)
    assert result.symbols == result.symbols.strip()
    ends = 0
    for syllable in result.syllables:
        assert ends <= syllable.start < syllable.end <= len(result.symbols)
        assert 1 <= syllable.tone <= 5
        ends = syllable.end


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WRITTEN)
def test_cleaned_speakable_text_is_never_silent(phonemizer: Phonemizer, text: str) -> None:
    try:
        cleaned = clean(text, 10_000)
    except SpeechError:
        return
    assert is_speakable(cleaned)
    if set(cleaned) & set("𠮷々"):  # characters without a reading
        return
    assert phonemizer.phonemize(cleaned).symbols


def test_only_its_own_folder_is_written_and_nothing_is_fetched(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from webui.engine.kokoro.g2p import Phonemizer
own = {str(tmp_path)!r}
found = []
def watch(event, arguments):
    if event.startswith("socket.") or event in ("subprocess.Popen", "os.system"):
        found.append((event, str(arguments)))
    writes = event == "open" and isinstance(arguments[0], (str, bytes)) and (
        any(letter in str(arguments[1] or "r") for letter in "wax+") or (arguments[2] or 0) & 3)
    if writes or event in ("os.mkdir", "os.rename", "os.remove"):
        path = str(arguments[0])
        if not path.startswith(own) and "__pycache__" not in path and not path.startswith("/dev"):
            found.append((event, path))
sys.addaudithook(watch)
phonemizer = Phonemizer(Path(own) / "cache", frozenset("abcdefghijklmnopqrstuvwxyz →↗↓↘ɚə"))
phonemizer.warm_up()
phonemizer.phonemize("今天是2026-11-21，温度25°C。Hello zyxwv 3 times!")
if "ja" in phonemizer.languages:
    phonemizer.phonemize("今日は2026年です。")
assert not found, found
assert (Path(own) / "cache" / "jieba").is_dir()
for name in ("torch", "spacy", "phonemizer", "espeakng_loader"):
    assert name not in sys.modules, name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path: Path, vocabulary: frozenset[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert Phonemizer(blocked, vocabulary).phonemize("你好").symbols == "ni↗xau↓"
