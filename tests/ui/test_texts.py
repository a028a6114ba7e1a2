"""The catalogs: complete, equal in form, and every text that the page asks for is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from launcher.hub.catalog import catalog
from webui.emotion import EMOTIONS
from webui.ui import assets
from webui.ui.catalogs import LANGUAGES, gradio_texts, load_all_catalogs

PACKAGE = Path(assets.__file__).parent
SCRIPTS = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.js")))
PANELS = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PACKAGE.glob("*.py")))
CATALOGS = load_all_catalogs()


def places(text: str) -> list[str]:
    """The places to fill in."""
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_every_language_has_the_same_keys_and_places() -> None:
    first = CATALOGS[LANGUAGES[0]]
    for code in LANGUAGES[1:]:
        other = CATALOGS[code]
        assert sorted(other) == sorted(first)
        assert {key: places(text) for key, text in other.items()} == {key: places(text) for key, text in first.items()}


def test_no_text_is_empty_and_chinese_is_chinese() -> None:
    assert all(text.strip() for texts in CATALOGS.values() for text in texts.values())
    written_alike = {key for key, text in CATALOGS["zh"].items() if text == CATALOGS["en"][key]}
    assert written_alike <= {"text_count", "generate_keys", "generate_keys_mac", "stop_keys"}


def test_every_text_that_is_asked_for_exists() -> None:
    asked = set(re.findall(r"""\bt\(["']([a-z0-9_]+)["']""", SCRIPTS)) | set(
        re.findall(r'texts\("([a-z_]+)"\)', PANELS)
    )
    asked |= set(re.findall(r"""#?say\([^"']*["']([a-z_]+)["']""", SCRIPTS))
    asked |= {f"error_{code}" for code in re.findall(r'new SpeechFailure\("([a-z_]+)"', SCRIPTS)}
    asked |= {f"emotion_{name}" for name in EMOTIONS}
    assert len(asked) > 50
    assert sorted(asked - set(CATALOGS["en"])) == []


def test_every_language_and_every_model_has_its_words() -> None:
    """What the page names by a code that it gets: ``languages`` of the engines, models of the catalog."""
    spoken = {"zh", "en", "ja", "es", "ar", "mixed"}
    wanted = {f"language_{code}" for code in spoken}
    wanted |= {"system_about_" + re.sub("[^a-z0-9]+", "_", model.name) for model in catalog()}
    assert sorted(wanted - set(CATALOGS["en"])) == []


def test_every_text_is_asked_for() -> None:
    by_prefix = (
        "error_",
        "stage_",
        "language_",
        "voice_",
        "emotion_",
        "mood_",
        "theme_",
        "example_",
        "engine_",
        "tab_",
        "system_",
        "generation_",
        "quality_",
        "batch_state_",
        "batch_row_",
        "batch_finding_",
        "finding_",
        "library_error_",
        "glossary_",
        "pronunciation_",
    )
    unused = [key for key in CATALOGS["en"] if not key.startswith(by_prefix) and key not in SCRIPTS + PANELS]
    assert unused == []


def test_the_examples_are_short_enough_to_try() -> None:
    for texts in CATALOGS.values():
        assert all(20 < len(texts[f"example_{number}"]) < 250 for number in (1, 2, 3))


@pytest.mark.parametrize("tag", ["en", "zh", "zh-CN", "zh-TW"])
def test_gradio_gets_no_text_with_places(tag: str) -> None:
    texts = gradio_texts(CATALOGS)[tag]
    assert texts["generate"]
    assert not any("{" in text for text in texts.values())
