"""`launcher batch` as a person runs it, against a real page and engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.processes import ROOT, WorkerProcess, page
from tests.say.test_say import instance
from webui.jobs.store import JobStore
from webui.library.library import Library


def batch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LAUNCHER_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "launcher", "batch", *arguments]
    return subprocess.run(
        command, check=False, env=environment, cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a running instance whose engine clones."""
    place = tmp_path_factory.mktemp("batch")
    (place / "data").mkdir()
    (place / "tone.json").write_text("{}")
    store, library = JobStore(place / "jobs"), Library(place / "library")
    engine = WorkerProcess(place, engine="tests.library.cloning_engine:CloningEngine").start()
    try:
        engine.wait_ready()
        with page(engine.address, jobs=store, library=library) as address, instance(place / "data", address):
            yield place
    finally:
        engine.close()
        store.close()
        library.close()


def test_rows_joined_and_subtitles_are_saved(folder: Path) -> None:
    (folder / "lines.txt").write_text("one two\nthree\n!!!\n")
    done = batch(folder, "lines.txt", "-o", "rows.zip", "--join", "all.wav", "--subtitles", "all.srt", "--gap", "1")
    assert done.returncode == 0, done.stderr
    assert "line 3:" in done.stderr
    assert "2 rows" in done.stdout
    assert {"0001-one-two.wav", "0002-three.wav"} < set(zipfile.ZipFile(folder / "rows.zip").namelist())
    with wave.open(str(folder / "all.wav")) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(1.75, abs=0.01)
    assert "00:00:01,500 --> 00:00:01,750\nthree" in (folder / "all.srt").read_text()
    again = batch(folder, "lines.txt", "-o", "rows.zip")
    assert (again.returncode, "exists already" in again.stderr) == (5, True)
    shown = json.loads(batch(folder, "lines.txt", "-o", "out", "--format", "flac", "--json").stdout)
    assert shown["counts"]["done"] == 2
    assert (folder / "out" / "0002-three.flac").read_bytes().startswith(b"fLaC")
    assert sorted(path.name for path in folder.glob("*/.*")) == []


def test_the_official_list_goes_with_its_texts_and_recordings(folder: Path) -> None:
    from tests.library.recordings import voiced, write

    (folder / "examples").mkdir()
    write(folder / "examples" / "voice_01.wav", voiced(5))
    (folder / "examples" / "long.txt").write_text("from a file", encoding="utf-8")
    rows = [
        {"output": "a.wav", "text": "one", "voice": "examples/voice_01.wav"},
        {"output": "b.wav", "text_file": "examples/long.txt", "voice": "examples/voice_01.wav"},
    ]
    (folder / "list.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    done = batch(folder, "list.jsonl", "-o", "official")
    assert done.returncode == 0, done.stderr
    assert {"a.wav", "b.wav"} <= {path.name for path in (folder / "official").iterdir()}
    assert "begin from a file" in (folder / "tone.log").read_text()


def test_what_goes_wrong_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.csv").write_text("text,voice\none,low\ntwo,nobody\n")
    (folder / "empty.txt").write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "lines.txt").write_text("one\n")
    cases = [
        (folder, ["bad.csv", "-o", "bad"], 8, "nobody"),
        (folder, ["empty.txt"], 8, "empty"),
        (folder, ["missing.txt"], 5, "missing.txt"),
        (folder, ["lines.txt", "--join", "all.doc"], 8, "all.doc"),
        (folder, ["lines.txt", "--kind", "doc"], 8, "doc"),
        (tmp_path, ["lines.txt"], 4, "launcher start"),
    ]
    for place, arguments, code, named in cases:
        done = batch(place, *arguments)
        assert (done.returncode, named in done.stderr + done.stdout) == (code, True), (arguments, done.stderr)
        assert "Traceback" not in done.stderr
    assert (folder / "bad" / "0001-one.wav").exists()
