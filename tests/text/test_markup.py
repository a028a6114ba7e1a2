"""The markup: nothing is lost, what is written is read back, and a wrong tag is one clear sentence."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import SpeechError
from webui.emotion import NEUTRAL, EmotionVector
from webui.markup import MAX_PAUSE_S, Passage, map_text, parse, plain, render, spoken
from webui.text import is_speakable

HAPPY = EmotionVector(happy=0.8)
PIECES = st.sampled_from(
    [
        "\\",
        "\\\\",
        "[",
        "]",
        "[pause]",
        "[emotion=happy]",
        "[/emotion]",
        "[speed=",
        "[x=1]",
        "=",
        "你好",
        "a b",
        "\n",
        "。",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=12).map("".join)
STRENGTHS = st.floats(0, 1, allow_nan=False)
EMOTION_VALUES = st.one_of(
    st.none(), st.just(NEUTRAL), st.builds(EmotionVector, happy=STRENGTHS, sad=STRENGTHS, calm=STRENGTHS)
)
PASSAGES = st.lists(
    st.builds(
        Passage,
        TEXTS.filter(bool),
        EMOTION_VALUES,
        st.one_of(st.none(), st.floats(0.25, 4)),
        st.one_of(st.just(0.0), st.floats(0.001, MAX_PAUSE_S)),
    ),
    max_size=6,
)


def apart(passages: list[Passage]) -> list[Passage]:
    """Those that differ from the one before: alike ones are one passage."""
    kept: list[Passage] = []
    for passage in passages:
        if not kept or passage.pause_s or (passage.emotion, passage.speed) != (kept[-1].emotion, kept[-1].speed):
            kept.append(passage)
    return kept


@given(PASSAGES)
def test_what_is_rendered_is_read_back(passages: list[Passage]) -> None:
    wanted = apart(passages)
    assert list(parse(render(wanted))) == wanted


@given(TEXTS)
def test_nothing_is_lost(text: str) -> None:
    try:
        passages = parse(text)
    except SpeechError as error:
        assert error.code == "wrong_tag"
        return
    if "[pause]" not in text and "emotion" not in text and "\\" not in text:  # a backslash before a tag goes
        assert plain(text) == text
    assert parse(render(passages)) == passages
    assert map_text(text, lambda part: part) == render(passages)


@pytest.mark.parametrize(
    "text", ["", "[1] and [sic]", "[emotion]", "[Emotion] is felt.", "a[/pause]b", "[loudness=3]", "x = [y]", "\\[1]"]
)
def test_what_is_no_tag_is_spoken(text: str) -> None:
    assert plain(text) == text


def test_a_backslash_makes_a_tag_text() -> None:
    assert parse(r"Write \[pause] here[pause=1s].") == (Passage("Write [pause] here"), Passage(".", pause_s=1.0))
    assert plain(r"C:\\[pause]x") == "C:\\x"


def test_tags_hold_until_the_next_of_their_kind() -> None:
    text = "A[emotion=happy]B[speed=fast]C[/emotion]D[pause=300ms]E[/speed]F"
    assert parse(text) == (
        Passage("A"),
        Passage("B", HAPPY),
        Passage("C", HAPPY, 1.25),
        Passage("D", None, 1.25),
        Passage("E", None, 1.25, 0.3),
        Passage("F"),
    )


@pytest.mark.parametrize(
    ("tag", "passage"),
    [
        ("[emotion=happy:0.7,sad:0.2]", Passage("x", EmotionVector(happy=0.7, sad=0.2))),
        ("[ Emotion = Surprised ]", Passage("x", EmotionVector(surprised=0.8))),
        ("[情感=高兴：0.5，平静=0.1]", Passage("x", EmotionVector(happy=0.5, calm=0.1))),
        ("[emotion:fearful]", Passage("x", EmotionVector(afraid=0.8))),
        ("[emotion=neutral]", Passage("x", NEUTRAL)),
        ("[speed=1.2]", Passage("x", speed=1.2)),
        ("[speed=120%]", Passage("x", speed=1.2)),
        ("[speed=1.5x]", Passage("x", speed=1.5)),
        ("[语速=慢]", Passage("x", speed=0.8)),
        ("[pause]", Passage("x", pause_s=0.5)),
        ("[pause=500]", Passage("x", pause_s=0.5)),
        ("[pause=2]", Passage("x", pause_s=2.0)),
        ("[break=long]", Passage("x", pause_s=1.0)),
        ("[停顿=1.5秒]", Passage("x", pause_s=1.5)),
        ("[pause=1s][pause=500ms]", Passage("x", pause_s=1.5)),
        ("[emotion=sad][emotion=happy]", Passage("x", HAPPY)),
    ],
)
def test_spellings(tag: str, passage: Passage) -> None:
    assert parse(tag + "x") == (passage,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[emotion=hapy]x", "[emotion=hapy] names no emotion that is known."),
        ("[emotion=]x", "[emotion=] names no emotion that is known."),
        ("[emotion=sad:2]x", "[emotion=sad:2] has a strength that is no number from 0 to 1."),
        ("[emotion=sad:]x", "[emotion=sad:] has a strength that is no number from 0 to 1."),
        ("[speed=9]x", "[speed=9] has a speed that is not known."),
        ("[pause=20s]x", "[pause=20s] has no length from 0 to 10 s."),
        ("[pause=soon]x", "[pause=soon] has no length from 0 to 10 s."),
        ("[pause=10s]x" * 13, "the pauses of this text are longer than 120 s together."),
    ],
)
def test_a_wrong_tag_is_one_sentence_with_a_fix(text: str, words: str) -> None:
    with pytest.raises(SpeechError) as caught:
        parse(text)
    assert caught.value.message == words
    assert caught.value.fix
    assert (caught.value.param, caught.value.code) == ("input", "wrong_tag")


def test_every_spoken_passage_has_something_to_say() -> None:
    assert spoken(parse("「[emotion=happy]你好[pause=1s]。[speed=fast]！世界[pause=2s]")) == (
        Passage("「你好。！", HAPPY),
        Passage("世界", HAPPY, 1.25, 1.0),
        Passage("", pause_s=2.0),
    )
    with pytest.raises(SpeechError):
        spoken(parse("[pause=1s]。"))


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("他说：“[emotion=happy]太好了！[/emotion]”然后走了。", ["他说：", "“太好了！”", "然后走了。"]),
        ('他说："[emotion=happy]太好了！[/emotion]"然后走了。', ["他说：", '"太好了！"', "然后走了。"]),
        ('She said "[emotion=sad]I know.[/emotion]" and left.', ["She said ", '"I know." ', "and left."]),
        ("「[emotion=happy]你好」[/emotion]「再见」", ["「你好」", "「再见」"]),
        ('"Good." [emotion=sad]"Bad," he said.', ['"Good." ', '"Bad," he said.']),
        ("It's 'fine[emotion=sad]' now. 'Twas [pause]'ere.", ["It's 'fine' ", "now. 'Twas ", "'ere."]),
        ("It costs [emotion=sad].5 dollars", ["It costs ", ".5 dollars"]),
        ("Wait[pause]... what (really[emotion=sad])?", ["Wait... ", "what (really)?"]),
        ("One.\n[pause]— Two", ["One.\n", "— Two"]),
        ("他问[emotion=sad]“[/emotion]谁？”", ["他问", "“谁？”"]),
    ],
)
def test_signs_at_a_tag_go_where_they_belong(text: str, texts: list[str]) -> None:
    assert [passage.text for passage in spoken(parse(text))] == texts


SIGNS = st.sampled_from(
    [*"”’」』)】。！？，.!?;:\"'“‘「(—… \n", "a", "5", "好", "don't", "[emotion=sad]", "[/emotion]", "[pause]"]
)


@given(st.lists(SIGNS, max_size=14).map("".join))
def test_no_passage_begins_with_a_sign_that_ends_something(text: str) -> None:
    passages = parse(text)
    try:
        found = spoken(passages)
    except SpeechError as error:
        assert error.code == "nothing_to_say"
        return
    assert "".join(passage.text for passage in found) == "".join(passage.text for passage in passages)
    total = sum(passage.pause_s for passage in passages)
    assert sum(passage.pause_s for passage in found) == pytest.approx(total)
    assert all(is_speakable(passage.text) for passage in found if passage.text)
    assert all(passage.text for passage in found[:-1])
    for passage in found[1:]:
        assert passage.text[:1] not in set("”’」』)】。！？，!?;:…"), text
    for passage, following in itertools.pairwise(found):
        assert not following.text or passage.text[-1:] not in set("“‘「("), text
