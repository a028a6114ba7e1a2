"""The table of settings, .env.example and both pages of the docs say the same."""

import re
from pathlib import Path

import pytest

from launcher import errors
from launcher.config import load
from launcher.config.keys import KEYS
from launcher.config.model import Config
from launcher.config.reference import PAGES, env_example, replace_table, settings_table, write_all

ROOT = Path(__file__).parents[2]


def test_env_example_is_made_from_the_table() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example()


@pytest.mark.parametrize("page", PAGES)
def test_the_docs_hold_every_setting(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert settings_table(PAGES[page]) in text
    assert re.findall(r"^\| `([A-Za-z_]+)` \|", text, re.MULTILINE) == [key.name for key in KEYS]


@pytest.mark.parametrize("page", PAGES)
def test_the_docs_hold_every_exit_code(page: str) -> None:
    documented = re.findall(r"^\| (\d+) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert sorted(map(int, documented)) == sorted({0, 130} | {kind.exit_code for kind in classes})


def test_env_example_changes_nothing_and_its_lines_work(tmp_path: Path) -> None:
    untouched = tmp_path / "untouched.env"
    untouched.write_text(env_example(), encoding="utf-8")
    assert {value.source for value in load({}, untouched, {}).values} == {"default"}

    opened = tmp_path / "opened.env"
    opened.write_text(re.sub(r"^#(?=[A-Za-z])", "", env_example(), flags=re.MULTILINE), encoding="utf-8")
    config = load({}, opened, {})
    unset = {value.name for value in config.values if value.source == "default"}
    assert unset == {"LAUNCHER_TOKEN", "LAUNCHER_USERS", "HF_TOKEN"}  # a secret has no example


def test_every_setting_of_ours_is_a_field_of_the_config() -> None:
    ours = {key.attribute for key in KEYS if key.is_ours}
    assert ours == set(Config.__dataclass_fields__) - {"standard", "values", "dotenv_path", "warnings"}


def test_both_languages_describe_every_setting() -> None:
    for key in KEYS:
        assert key.english.isascii() and key.english.endswith(".")
        assert not key.chinese.isascii() and key.chinese.endswith("。")
        assert key.default or key.default_note


def test_writing_touches_only_what_is_between_the_markers(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        (tmp_path / page).write_text(replace_table(text, "old") + "own words\n", encoding="utf-8")
    write_all(tmp_path)
    for page in PAGES:
        assert (tmp_path / page).read_text(encoding="utf-8") == (ROOT / page).read_text(
            encoding="utf-8"
        ) + "own words\n"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="marker"):
        replace_table("no markers", "table")
