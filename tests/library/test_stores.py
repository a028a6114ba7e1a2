"""The database, presets, glossary and history, each in a library of its own on a real disk."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import SpeechError, StorageError
from tests.library.recordings import add_voice, voiced, write
from webui.library.database import FILE_NAME, MIGRATIONS
from webui.library.history import Take, Wanted
from webui.library.library import Library
from webui.library.preset_import import official_request


def code_of(error: Any) -> str:
    return str(error.value.code)


def take(number: int, **changes: Any) -> Take:
    values: dict[str, Any] = {
        "id": f"{number:032x}",
        "created_at": 1_760_000_000.0 + number,
        "engine": "kokoro",
        "voice": "aoi",
        "language": "auto",
        "source": "page",
        "seed": number,
        "duration_s": 2.0,
        "synthesis_s": 0.9,
        "sample_rate_hz": 24_000,
        "size_bytes": 1000,
        "file": f"{number:032x}.flac",
        "text": f"Take {number}",
        "weights": {"kokoro": "sha256:1"},
        "request": {"text": f"Take {number}", "voice": "aoi"},
        "segments": [],
    }
    return Take(**{**values, **changes})


def add_take(library: Library, number: int, **changes: Any) -> bool:
    sound = library.parts / "sound.flac"
    sound.write_bytes(b"f" * changes.get("size_bytes", 1000))
    return library.history.add(take(number, **changes), sound)


# --- the database -----------------------------------------------------------------------------------------------


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    library = Library(tmp_path)
    voice = add_voice(library, tmp_path, "Mia", tags="warm, calm", language="zh", consent="hers")
    preset = library.presets.add("Evening", {"request": {"voice": voice.id, "speed": 0.9}, "more": [1]})
    library.glossary.add({"term": "NASA", "zh": "那萨"})
    add_take(library, 1)
    library.close()
    again = Library(tmp_path)
    assert again.voices.all() == [voice]
    assert again.presets.all() == [preset]
    assert [(term.term, term.zh, term.en) for term in again.glossary.all()] == [("NASA", "那萨", "")]
    assert again.history.get(f"{1:032x}") == take(1)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0
    again.close()


def test_a_damaged_file_is_kept_aside_and_a_new_one_begins(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.glossary.add({"term": "a", "zh": "b"})
    library.close()
    content = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(b"not a database" + content[14:])
    again = Library(tmp_path)
    assert again.glossary.all() == []
    again.close()
    [kept] = tmp_path.glob(FILE_NAME + ".damaged-*")
    assert kept.read_bytes()[14:] == content[14:]


def test_a_newer_versions_file_is_left_alone(tmp_path: Path) -> None:
    Library(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(StorageError, match="newer version"):
        Library(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before


# --- presets ----------------------------------------------------------------------------------------------------


def test_a_preset_is_kept_renamed_shared_and_taken_in(library: Library, tmp_path: Path) -> None:
    state = {"request": {"text": "Hello.", "emotion": {"happy": 0.5}, "speed": 1.2}, "locked": True}
    preset = library.presets.add("Bright", state)
    assert preset.has_text
    renamed = library.presets.change(preset.id, {"name": "Brighter"})
    assert (renamed.name, renamed.state) == ("Brighter", state)
    (tmp_path / "one.json").write_text(renamed.to_file(with_text=False))
    done = library.preset_import.read(tmp_path / "one.json", "file")
    assert [found.name for found in done.presets] == ["Brighter (2)"]
    assert "text" not in done.presets[0].state["request"]
    library.presets.remove(preset.id)
    with pytest.raises(SpeechError) as caught:
        library.presets.get(preset.id)
    assert caught.value.http_status == 404


@pytest.mark.parametrize(
    ("state", "param"),
    [
        ({"request": {"speed": 9}}, "speed"),
        ({"request": {"reference": "/etc/passwd"}}, "reference"),
        ({"request": {"pages_own": 1, "intensity": 2}}, "intensity"),
        ({"request": []}, "state.request"),
        ([], "state"),
        ({"x": "y" * 300_000}, "state"),
        ({"x": float("nan")}, "state"),
    ],
)
def test_a_state_that_could_not_be_spoken_is_refused(library: Library, state: Any, param: str) -> None:
    with pytest.raises(SpeechError) as caught:
        library.presets.add("a", state)
    assert caught.value.param == param
    assert library.presets.all() == []


OFFICIAL = {
    "emo_control_method": 2,
    "emo_weight": 0.8,
    "emo_vector": [0.6, 0, 0, 0, 0, 0, 1.4, 0.1],
    "emo_text": "",
    "emo_random": True,
    "advanced_params": {"do_sample": False, "temperature": 0.7, "top_k": 30.0, "max_text_tokens_per_segment": 900},
    "prompt_audio": "prompt.wav",
    "emo_audio": None,
}


def test_the_official_pages_presets_are_taken_in(library: Library, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("outputs/presets/晚安/preset.json", json.dumps(OFFICIAL))
        archive.write(write(tmp_path / "p.wav", voiced(4)), "outputs/presets/晚安/prompt.wav")
        gone = {"emo_control_method": 1, "emo_audio": "emo_ref.wav"}
        archive.writestr("outputs\\presets\\gone\\preset.json", json.dumps(gone))
        archive.writestr("outputs/presets/bad/preset.json", "{")
        archive.writestr("outputs/presets/odd/preset.json", '{"emo_control_method": 77, "emo_weight": "much"}')
    done = library.preset_import.read(tmp_path / "p.zip", "file")
    by_name = {preset.name: preset.state["request"] for preset in done.presets}
    assert set(by_name) == {"晚安", "gone", "odd"}
    night = by_name["晚安"]
    assert night["voice"] == done.voices[0].id
    assert night["emotion"] == {"happy": 0.6, "surprised": 1.0, "calm": 0.1}
    assert (night["emotion_mode"], night["intensity"], night["random_emotion"]) == ("vector", 0.8, True)
    assert night["generation"] == {"temperature": 0.7, "top_k": 30, "segment_tokens": 600}
    assert by_name["gone"]["emotion_mode"] == "voice"
    assert by_name["odd"]["intensity"] == 0.0
    assert [refused["name"] for refused in done.refused] == ["bad"]
    assert any("do_sample" in note for note in done.notes)
    assert any("emo_vector (surprised) was 1.4 and became 1" in note for note in done.notes)


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf")], ids=["large", "small", "infinite"])
def test_a_number_that_is_beyond_all_bounds_becomes_the_nearest(value: float) -> None:
    notes: list[str] = []
    request = official_request({"emo_weight": value, "emo_vector": [value]}, notes)
    assert request["intensity"] == (1.0 if value > 0 else 0.0)
    assert len(notes) == 2 and all("and became" in note and len(note) < 80 for note in notes)


# --- glossary ---------------------------------------------------------------------------------------------------


def test_terms_are_added_changed_and_removed(library: Library) -> None:
    term, is_new = library.glossary.add({"term": " GitHub ", "zh": "吉特哈布"})
    assert (term.term, is_new) == ("GitHub", True)
    same, is_new = library.glossary.add({"term": "github", "zh": "吉特", "en": "git hub"})
    assert (same.id, is_new) == (term.id, False)
    library.glossary.add({"term": "SQL", "en": "sequel"})
    with pytest.raises(SpeechError) as caught:
        library.glossary.change(term.id, {"term": "sql"})
    assert code_of(caught) == "term_taken"
    changed = library.glossary.change(term.id, {"zh": ""})
    assert (changed.zh, changed.en) == ("", "git hub")
    assert library.glossary.readings("Use SQL on GITHUB.", "en") == (("github", "git hub"), ("SQL", "sequel"))
    assert library.glossary.readings("Use SQL on GITHUB.", "zh") == ()
    library.glossary.remove(term.id)
    assert [found.term for found in library.glossary.all()] == ["SQL"]
    for entry in ({"term": "x"}, {"zh": "y"}, {"term": "x" * 201, "zh": "y"}, {"term": "a", "zh": "b", "fr": "c"}):
        with pytest.raises(SpeechError):
            library.glossary.add(entry)


def test_a_glossary_file_comes_and_goes(library: Library) -> None:
    text = "ON: 昂\n'<b>': {zh: 粗, en: bold}\nGPT-4: {en: G P T four}\n"
    assert library.glossary.merge(text) == (3, 0)
    assert library.glossary.merge("on: 开") == (0, 1)
    written = library.glossary.to_yaml()
    other = {(term.term, term.zh, term.en) for term in library.glossary.all()}
    assert library.glossary.merge(written, replace=True) == (3, 0)
    assert {(term.term, term.zh, term.en) for term in library.glossary.all()} == other


@pytest.mark.parametrize(
    "text",
    [
        "- a",
        "a: [1]",
        "a: {zh: {b: c}}",
        "a: !!python/object/apply:os.system [ls]",
        "a: b\nc",
        "a:",
        "x: &a [*a]",
        "".join(f"t{number}: r\n" for number in range(5001)),
    ],
)
def test_a_wrong_glossary_file_changes_nothing(library: Library, text: str) -> None:
    library.glossary.add({"term": "kept", "zh": "留"})
    with pytest.raises(SpeechError):
        library.glossary.merge(text, replace=True)
    assert [term.term for term in library.glossary.all()] == ["kept"]


# --- history ----------------------------------------------------------------------------------------------------


def test_takes_are_found_page_by_page(library: Library) -> None:
    for number in range(1, 26):
        add_take(library, number, voice="aoi" if number % 2 else "ren", text=f"Say 100% of {number}_x")
    first, mark = library.history.page(Wanted(), limit=10)
    add_take(library, 26)
    second, mark = library.history.page(Wanted(), before=mark, limit=10)
    third, last = library.history.page(Wanted(), before=mark, limit=10)
    assert [found.seed for found in first + second + third] == list(range(25, 0, -1))
    assert last is None
    library.history.star(f"{7:032x}", True)
    assert [found.seed for found in library.history.page(Wanted(starred=True))[0]] == [7]
    assert len(library.history.page(Wanted(voice="ren"))[0]) == 12
    assert [found.seed for found in library.history.page(Wanted(words=("100%", "7_x")))[0]] == [17, 7]
    assert library.history.page(Wanted(words=("100_",)))[0] == []
    since = Wanted(since=take(24).created_at)
    assert [found.seed for found in library.history.page(since)[0]] == [26, 25, 24]
    assert library.history.totals(Wanted(voice="ren"))["total"] == 12
    assert library.history.remove([take(7).id, take(8).id, "unknown"]) == 2
    assert not library.history._files.path(take(7).file).exists()


def test_the_budget_ends_the_oldest_takes_without_a_star(tmp_path: Path) -> None:
    library = Library(tmp_path, history_bytes=10_000)
    for number in range(1, 10):
        add_take(library, number)
    library.history.star(take(1).id, True)
    for number in range(10, 15):
        add_take(library, number)
    kept = [found.seed for found in library.history.page(Wanted())[0]]
    assert kept == [14, 13, 12, 11, 10, 9, 8, 7, 6, 1]
    assert library.history.totals(Wanted())["used_bytes"] == 10_000
    assert len(list((tmp_path / "takes").iterdir())) == 10
    assert not add_take(library, 15, size_bytes=10_001)
    assert [found.seed for found in library.history.page(Wanted())[0]] == kept
    library.close()


def test_takes_go_out_as_zip_and_as_lines(library: Library) -> None:
    for number in range(1, 4):
        add_take(library, number)
    wanted = Wanted(ids=(take(1).id, take(3).id))
    with zipfile.ZipFile(io.BytesIO(b"".join(library.history.export(wanted)))) as archive:
        listed = json.loads(archive.read("takes.json"))
        assert [entry["seed"] for entry in listed] == [3, 1]
        assert archive.read(listed[0]["file"]) == b"f" * 1000
        assert archive.testzip() is None
    lines = b"".join(library.history.export_lines(wanted)).decode().splitlines()
    assert [json.loads(line)["rtf"] for line in lines] == [0.45, 0.45]
