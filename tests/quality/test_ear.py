"""The ear: words compared, the process behind it and what becomes of it, and a real recogniser on real speech."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scripts.voice_judges import recogniser_folder
from tests.quality.recordings import TEXT, VOICES, recording
from webui.quality.ear import REPOSITORY, ListeningProcess, find_model
from webui.quality.inspection import Asked
from webui.quality.recogniser import log_mel, mel_filters
from webui.quality.wording import compare, spoken_words

PARROT = (sys.executable, "-u", "-m", "tests.quality.parrot")
WORDS = "the quick brown fox jumps over the lazy dog"


def hub(folder: Path, model: Path | None = None) -> Path:
    """A cache that holds the recogniser's model, or empty files in its place."""
    snapshot = folder / f"models--{REPOSITORY.replace('/', '--')}" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        if model is None:
            (snapshot / name).touch()
        else:
            (snapshot / name).symlink_to(model / name)
    return folder


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[ListeningProcess]:
    made = ListeningProcess(PARROT, hub(tmp_path / "hub"))
    yield made
    made.close()


def heard(ear: ListeningProcess, sound: str, text: str, language: str = "en") -> float | None:
    """How much is misread when that sound should be that text."""
    pcm = np.frombuffer(sound.encode(), np.uint8).astype(np.int16)
    found = ear.listen(pcm, 16_000, Asked(text, language)).result(60)
    assert found is None or found.kind == "misread"
    return None if found is None else found.value


def test_the_same_words_differ_in_nothing() -> None:
    for written, said in (
        ("Don't stop, it's 14:05!", "dont stop its fourteen oh five"),
        ("她把那封信放回抽屉里。", "她把那封信放回抽屜裡"),
        ("一共 3 个，价格 20", "一共三个价格二十"),
        ("Café", "cafe"),
        ("我喜欢用 Python 写代码", "我喜歡用python寫代碼"),
    ):
        assert compare(written, said.replace("dont", "don't").replace("its", "it's")).errors == 0, written


def test_what_is_missing_added_or_changed_counts() -> None:
    assert compare("one two red green blue", "red blue").errors == 1
    assert compare("红色绿色", "红色红色绿色").errors == 2
    assert compare("", "something").share == 0.0
    assert compare("red", "").share == 1.0
    assert spoken_words("12 three 四") == []


def test_right_words_pass_and_wrong_ones_are_misread(ear: ListeningProcess) -> None:
    assert heard(ear, WORDS, WORDS.title() + ".") is None
    assert heard(ear, "the quick brown fox", WORDS) == pytest.approx(5 / 9)
    assert heard(ear, "a completely different sentence is heard here today", WORDS) == 1.0
    assert heard(ear, "the quick brown box jumps over a lazy dog", WORDS) is None, "a recogniser errs, too"
    assert heard(ear, "nothing like it", "今天天气真好", "ja") is None, "readings of Japanese are not compared"


def test_a_process_that_ends_is_not_asked_again(ear: ListeningProcess, caplog: pytest.LogCaptureFixture) -> None:
    assert heard(ear, "!", WORDS) is None
    assert "not read back any more" in caplog.text
    assert heard(ear, "something else altogether", WORDS) is None


def test_one_that_does_not_answer_is_ended(tmp_path: Path) -> None:
    ear = ListeningProcess(PARROT, hub(tmp_path), answer_s=2.0)
    assert heard(ear, "...", WORDS) is None


def test_after_the_end_it_is_started_again(ear: ListeningProcess) -> None:
    assert heard(ear, "the quick brown fox", WORDS) is not None
    ear.close()
    assert heard(ear, "the quick brown fox", WORDS) is not None


def test_without_its_model_nothing_is_heard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ear = ListeningProcess(PARROT, tmp_path)
    assert heard(ear, "the quick brown fox", WORDS) is None
    assert "launcher fetch whisper-base" in caplog.text
    hub(tmp_path)
    assert heard(ear, "the quick brown fox", WORDS) is not None, "fetched meanwhile"
    (find_model(tmp_path) or tmp_path).joinpath("vocabulary.txt").unlink()
    assert find_model(tmp_path) is None
    ear.close()


def test_what_the_network_gets_is_scaled_as_it_was_trained() -> None:
    filters = mel_filters(80)
    assert filters.shape == (201, 80) and (filters >= 0).all() and (filters.sum(axis=0) > 0).all()
    times = np.arange(16_000) / 16_000
    features = log_mel((0.5 * np.sin(2 * np.pi * 1000 * times)).astype(np.float32), filters)
    assert features.shape == (80, 3000) and features.dtype == np.float32
    loudest = features[:, 50].argmax()
    assert filters[:, loudest].argmax() == 1000 / 40, "the band that 1 kHz falls into"
    assert features.max() - features.min() == pytest.approx(2.0, abs=1e-4), "80 dB, a quarter of them each"


def test_real_speech_is_read_back(tmp_path: Path) -> None:
    with recogniser_folder() as model:
        ear = ListeningProcess((sys.executable, "-u", "-m", "webui.quality.recogniser"), hub(tmp_path, model), 2)
        pcm, rate_hz = recording(VOICES[0])
        assert ear.listen(pcm, rate_hz, Asked(TEXT, "mixed")).result(120) is None
        found = ear.listen(pcm[: len(pcm) // 3], rate_hz, Asked(TEXT, "mixed")).result(120)
        assert found is not None and found.kind == "misread" and 0.4 < found.value < 0.9
        ear.close()
