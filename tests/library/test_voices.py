"""Voices: named, changed, used, given on, and taken in from files that nobody should trust."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import SpeechError
from tests.library.recordings import add_voice, voiced, write
from webui.library.archives import MAX_ENTRIES
from webui.library.library import Library
from webui.library.voice_archive import export_voices, import_voices


def test_a_voice_is_named_changed_used_and_removed(library: Library, tmp_path: Path) -> None:
    mia = add_voice(library, tmp_path, "Mia", 150, default=True)
    tom = add_voice(library, tmp_path, "Tom", 90)
    assert library.voices.default() == library.voices.get(mia.id)
    with pytest.raises(SpeechError) as caught:
        library.voices.change(tom.id, {"name": "ＭＩＡ"})
    assert caught.value.code == "name_taken"
    tom = library.voices.change(tom.id, {"name": "Thomas", "tags": ["low", "LOW"], "default": True})
    assert (tom.name, tom.tags, tom.is_default) == ("Thomas", ("LOW",), True)
    assert [voice.name for voice in library.voices.all()] == ["Thomas", "Mia"]
    assert not library.voices.get(mia.id).is_default
    library.voices.count_use([tom.id])
    library.voices.count_use([tom.id, "unknown"])
    assert library.voices.get(tom.id).uses == 2
    path = library.voices.path(tom)
    library.voices.remove(tom.id)
    assert not path.exists()
    assert library.voices.default() is None


def test_the_same_recording_is_the_same_voice(library: Library, tmp_path: Path) -> None:
    mia = add_voice(library, tmp_path, "Mia")
    assert add_voice(library, tmp_path, "Mia again") == mia


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"name": " \u200b".strip("\u200b")}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "a", "tags": [1]}, "tags"),
        ({"name": "a", "tags": list("abcdefghijklmnopqrstuvw")}, "tags"),
        ({"name": "a", "language": "../x"}, "language"),
        ({"name": "a", "consent": "x" * 1001}, "consent"),
        ({"name": "a", "default": "yes"}, "default"),
    ],
)
def test_a_wrong_field_is_named(library: Library, tmp_path: Path, given: dict[str, Any], param: str) -> None:
    with pytest.raises(SpeechError) as caught:
        add_voice(library, tmp_path, **given)
    assert caught.value.param == param
    assert library.voices.all() == []
    assert list(library.parts.iterdir()) == []


def test_voices_travel_in_a_zip(library: Library, tmp_path: Path) -> None:
    mia = add_voice(library, tmp_path, "Mia", 150, tags="warm", language="zh", consent="Hers, 2026.")
    add_voice(library, tmp_path, "Tom", 90)
    file = tmp_path / "voices.zip"
    file.write_bytes(b"".join(export_voices(library.voices, library.voices.all())))
    other = Library(tmp_path / "other")
    add_voice(other, tmp_path, "Mia", 200)
    done = import_voices(other.voices, file, other.parts)
    assert [voice.name for voice in done.added] == ["Mia (2)", "Tom"]
    came = other.voices.get(mia.id)
    assert (came.tags, came.language, came.consent) == (mia.tags, "zh", "Hers, 2026.")
    assert other.voices.path(came).read_bytes() == library.voices.path(mia).read_bytes()
    again = import_voices(other.voices, file, other.parts)
    assert (len(again.added), len(again.known)) == (0, 2)
    other.close()


def test_a_bad_zip_does_no_harm(library: Library, tmp_path: Path) -> None:
    sound = write(tmp_path / "a.wav", voiced(4)).read_bytes()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = {"name": "x", "file": "../../outside.wav"}
        named = [
            entry,
            {"name": "<img onerror=x>", "file": "ok.wav"},
            {"name": "gone", "file": "gone.wav"},
            {"name": "large", "file": "large.wav"},
            {"name": "text", "file": "text.wav"},
        ]
        archive.writestr("voices.json", json.dumps({"format": "tts-launcher-voices", "version": 1, "voices": named}))
        archive.writestr("../../outside.wav", sound)
        archive.writestr("ok.wav", sound)
        archive.writestr("large.wav", b"\0" * 50_000_000)
        archive.writestr("text.wav", "hello")
    (tmp_path / "bad.zip").write_bytes(bomb.getvalue())
    done = import_voices(library.voices, tmp_path / "bad.zip", library.parts)
    assert [voice.name for voice in done.added] == ["x"]
    assert [voice.name for voice in done.known] == ["x"], "the same recording"
    assert [refused["name"] for refused in done.refused] == ["gone", "large", "text"]
    assert not (tmp_path.parent / "outside.wav").exists()
    assert {path.name for path in library.voices.path(done.added[0]).parent.iterdir()} == {done.added[0].file}
    assert list(library.parts.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and nothing", b"{}"])
def test_what_is_no_zip_is_refused(library: Library, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(SpeechError) as caught:
        import_voices(library.voices, tmp_path / "bad.zip", library.parts)
    assert caught.value.code == "bad_file"


def test_a_zip_with_very_many_entries_is_refused(library: Library, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(MAX_ENTRIES + 1):
            archive.writestr(str(number), "")
    with pytest.raises(SpeechError, match="entries"):
        import_voices(library.voices, tmp_path / "many.zip", library.parts)


def test_lists_longer_than_a_library_are_refused(library: Library, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "long.zip", "w") as archive:
        listed = {"format": "tts-launcher-voices", "version": 1, "voices": [{"name": "a", "file": "a"}] * 1001}
        archive.writestr("voices.json", json.dumps(listed))
        for number in range(1001):
            archive.writestr(f"{number}.json", "{}")
    with pytest.raises(SpeechError, match="1001 voices"):
        import_voices(library.voices, tmp_path / "long.zip", library.parts)
    with pytest.raises(SpeechError, match="1002 presets"):
        library.preset_import.read(tmp_path / "long.zip", "file")
