"""Files of rows: what each kind gives, and that no file whatever does more than be refused."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.errors import SpeechError
from webui.engine.base import SpeechRequest
from webui.jobs.formats import READERS, guess, read
from webui.jobs.formats.decoding import MAX_FILE_BYTES
from webui.jobs.rows import MAX_NAME_CHARS, MAX_PROBLEMS, MAX_ROWS, Reading, safe_name

LIMIT = 500
#: What a person may write in one line: words of both languages, with signs that mean something to a format.
WORDS = st.lists(
    st.sampled_from(["Hello", "world", "你好", "世界", "3.5", 'say "no"', "a,b", "x;y", "|", "&", "it's", "#1"]),
    min_size=1,
    max_size=6,
).map(lambda words: "word " + " ".join(words))


def rows_of(data: str | bytes, name: str) -> Reading:
    return read(data.encode() if isinstance(data, str) else data, name, max_text_chars=LIMIT)


def texts(reading: Reading) -> list[str]:
    return [str(row.fields["text"]) for row in reading.rows]


def test_the_official_batch_file_is_taken_as_it_is() -> None:
    lines = [
        {
            "output": "outputs/happy.wav",
            "text": "Hello there.",
            "voice": "examples/voice_01.wav",
            "emotion_vector": [0, 0, 0, 0, 0, 0, 0.45, 0],
            "emotion_weight": "0.6",
            "silence_after_ms": 300,
        },
        {"text": "你好", "voice": "C:\\voices\\Voice_02.WAV", "emotion_vector": "[0.3,0,0,0,0,0,0,0.2]"},
        {"text": "Hm.", "voice": "/recordings/voice_03.wav", "emotion_audio": "examples/emo_sad.wav"},
        {"text": "Yes.", "voice": "v.wav", "emotion_text": "quite excited", "emotion_weight": 3},
        {"text_file": "long.txt", "voice": "v.wav"},
        {"text": "No.", "silence_after_ms": -1},
        {"text": "No.", "nonsense": 1},
    ]
    reading = rows_of("\n".join(json.dumps(line) for line in lines), "batch.jsonl")
    first, second, third, fourth = reading.rows
    assert (first.name, first.gap_s, first.fields["voice"], first.fields["intensity"]) == (
        "happy",
        0.3,
        "voice_01",
        0.6,
    )
    assert SpeechRequest.from_json(first.fields).emotion.as_dict() == {"surprised": 0.45}
    assert second.fields["voice"] == "voice_02"
    assert SpeechRequest.from_json(second.fields).emotion.as_dict() == {"happy": 0.3, "calm": 0.2}
    assert third.fields["reference"] == "/recordings/voice_03.wav"
    assert third.fields["emotion_reference"] == "emo_sad"
    assert (fourth.fields["emotion_text"], fourth.fields["intensity"]) == ("quite excited", 1.0)
    assert [problem.line for problem in reading.problems] == [5, 6, 7]
    assert "launcher batch" in reading.problems[0].fix


def test_json_may_be_one_list_of_objects_and_texts() -> None:
    reading = rows_of('[{"input": "one", "speed": 1.5, "id": 7}, "two", 3, {"text": "x", "speed": "fast"}]', "a.json")
    assert texts(reading) == ["one", "two"]
    assert (reading.rows[0].name, reading.rows[0].fields["speed"]) == ("7", 1.5)
    assert [problem.line for problem in reading.problems] == [3, 4]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_tables_of_any_spreadsheet(encoding: str, delimiter: str) -> None:
    names = ["文本", "音色", "情感", "语速", "文件名", "备注"]
    lines = [["你好，世界", "lian", "喜", "1.2", "greeting", "-"], ["再见", "", "happy=0.3,calm=0.2", "", "", ""]]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(
        [names, *lines, ["", "", "", "", "", ""], ["坏", "", "", "x", "", ""]]
    )
    reading = rows_of(buffer.getvalue().encode(encoding), "a.csv")
    assert texts(reading) == ["你好，世界", "再见"]
    assert reading.rows[0].name == "greeting"
    assert reading.rows[0].fields == {"text": "你好，世界", "voice": "lian", "emotion": {"happy": 1.0}, "speed": 1.2}
    assert reading.rows[1].fields["emotion"] == {"happy": 0.3, "calm": 0.2}
    assert [problem.line for problem in reading.problems] == [1, 5]
    assert "备注" in reading.problems[0].message and "speed" in reading.problems[1].message


def test_a_table_may_have_a_column_for_each_emotion_and_texts_of_several_lines() -> None:
    reading = rows_of('text,happy,怒,start,end\n"one\ntwo",0.2,0.1,1,2.5\nthree,,,,\nfour,2,,,\n', "a.csv")
    assert reading.rows[0].fields["emotion"] == {"happy": 0.2, "angry": 0.1}
    assert (reading.rows[0].start_s, reading.rows[0].end_s) == (1.0, 2.5)
    assert [row.line for row in reading.rows] == [2, 4]
    assert [problem.line for problem in reading.problems] == [5]


def test_a_table_without_the_text_says_so() -> None:
    for table in ("voice,speed\nlow,1\n", "a;b\nc;d\n"):
        reading = rows_of(table, "a.csv")
        assert not reading.rows
        assert reading.problems[0].fix
    assert texts(rows_of("just one\ncolumn, with a comma\n", "a.csv")) == ["just one", "column, with a comma"]


def test_markdown_is_read_aloud_without_its_marks() -> None:
    document = """---
title: x
---
# A *title* #

One [link](https://example.org/x) and
**more** of `it`. <!-- not
this -->

1. first
- [x] second

```python
print("no")
```
> quoted ![a picture](x.png)

| a | b |
|---|:-:|
| 1 | 2 |

Under
=====
[emotion=happy]yes[/emotion] snake_case_name 2 * 3 * 4
"""
    reading = rows_of(document, "a.md")
    assert texts(reading) == [
        "A title",
        "One link and more of it.",
        "first",
        "second",
        "quoted a picture",
        "a, b",
        "1, 2",
        "Under",
        "[emotion=happy]yes[/emotion] snake_case_name 2 * 3 * 4",
    ]
    assert [row.line for row in reading.rows][:3] == [4, 6, 10]
    assert reading.rows[0].gap_s and reading.rows[7].gap_s and reading.rows[1].gap_s is None


def test_subtitles_keep_their_times() -> None:
    srt = (
        "2\r\n00:00:03,000 --> 00:00:04,5 X1:40\r\n{\\an8}<i>Later</i> &amp; then\r\n\r\n"
        "1\r\n00:00:01.250 --> 00:00:02,000\r\n你好\r\n世界\r\n00:00:02,100 --> 00:00:02,900\r\nno empty line\r\n\r\n"
        "4\r\n00:00:09,000 --> 00:00:08,000\r\nbackwards\r\n\r\njust words\r\n"
    )
    reading = rows_of(srt, "a.srt")
    assert [(row.start_s, row.end_s) for row in reading.rows] == [(1.25, 2.0), (2.1, 2.9), (3.0, 4.5)]
    assert texts(reading) == ["你好世界", "no empty line", "Later & then"]
    assert [problem.line for problem in reading.problems] == [13, 16]
    vtt = "WEBVTT - x\n\nNOTE\nnot this\n\nSTYLE\n::cue {}\n\nid\n01:02.000 --> 1:00:00.000 align:start\n<v Bob>Hi\n"
    assert [(row.start_s, row.end_s) for row in rows_of(vtt, "a.vtt").rows] == [(62.0, 3600.0)]


def test_files_without_a_name_are_known_by_their_beginning() -> None:
    cases = {
        "jsonl": '{"text": "x"}',
        "vtt": "WEBVTT\n\n00:01.000 --> 00:02.000\nx",
        "srt": "1\n00:00:01,000 --> 00:00:02,000\nx",
        "csv": "text,voice\nx,y",
        "markdown": "# x\n\ny",
        "txt": "x\ny",
    }
    assert {kind: guess(text) for kind, text in cases.items()} == {kind: kind for kind in cases}
    assert cases.keys() == READERS.keys()


def test_what_is_too_much_is_refused_or_left_out() -> None:
    with pytest.raises(SpeechError, match="bytes"):
        rows_of(b"x" * (MAX_FILE_BYTES + 1), "a.txt")
    reading = rows_of("one\n" * (MAX_ROWS + 5), "a.txt")
    assert len(reading.rows) == MAX_ROWS and reading.problem_count == 1
    reading = rows_of("!!!\n" * 1000, "a.txt")
    assert (len(reading.problems), reading.problem_count) == (MAX_PROBLEMS, 1000)
    assert rows_of("x" * (LIMIT + 1), "a.txt").problems[0].line == 1
    for data in (b"", b" \n", b"\xff\xfe\x00", b"a\x00b", b"\x80\x81"):
        with pytest.raises(SpeechError) as caught:
            rows_of(data, "a.txt")
        assert caught.value.fix


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.text(max_size=300).map(lambda text: text.encode("utf-8", "ignore"))))
def test_no_file_breaks_a_reader(data: bytes) -> None:
    for kind in READERS:
        try:
            reading = read(data, "", max_text_chars=LIMIT, kind=kind)
        except SpeechError:
            continue
        for row in reading.rows:
            assert SpeechRequest.from_json(row.fields).text
            assert row.name == safe_name(row.name)
            json.dumps(dict(row.fields)).encode()


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=8))
def test_what_was_written_is_what_is_read(lines: list[str]) -> None:
    table = io.StringIO()
    csv.writer(table).writerows([["voice", "text"], *(["low", line] for line in lines)])
    clock = "00:{0:02}:01,000 --> 00:{0:02}:09,000"
    written = {
        "a.jsonl": "\n".join(json.dumps({"text": line}) for line in lines),
        "a.csv": table.getvalue(),
        "a.txt": "\n".join(lines),
        "a.srt": "\n\n".join(f"{n}\n{clock.format(n)}\n{line}" for n, line in enumerate(lines)),
        "a.vtt": "WEBVTT\n\n"
        + "\n\n".join(
            f"{clock.format(n).replace(',', '.')}\n{line.replace('&', '&amp;')}" for n, line in enumerate(lines)
        ),
    }
    for name, text in written.items():
        assert texts(rows_of(text, name)) == lines, name


@given(st.text(max_size=200))
def test_a_safe_name_is_safe(name: str) -> None:
    safe = safe_name(name)
    assert safe_name(safe) == safe
    assert len(safe) <= MAX_NAME_CHARS + 1
    assert not set(safe) & set('/\\:*?"<>|\0\n') and not safe.startswith(".") and not safe.endswith((".", " "))


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\x\\con.wav", "a/b/нет.wav", "..", "NUL", "x" * 300 + ".wav"])
def test_names_lead_nowhere(name: str) -> None:
    assert safe_name(name) in {"passwd", "_con", "нет", "", "_NUL", "x" * MAX_NAME_CHARS}
