"""English numbers, signs and abbreviations in words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.engine.kokoro.g2p.normalize_en import normalize
from webui.engine.kokoro.g2p.numbers_en import cardinal, decade, ordinal, year

CASES = [
    # dates and times
    ("2026-11-21", "November twenty-first, twenty twenty-six"),
    ("2026/1/5", "January fifth, twenty twenty-six"),
    ("11/21/2026", "November twenty-first, twenty twenty-six"),
    ("November 21, 2026", "November twenty-first, twenty twenty-six"),
    ("Nov. 21", "November twenty-first"),
    ("21 November 2026", "the twenty-first of November, twenty twenty-six"),
    ("the 4th of July", "the fourth of July"),
    ("May 2026", "May twenty twenty-six"),
    ("May 5-7", "May fifth to seventh"),
    ("On May 5.", "On May fifth."),
    ("7:30", "seven thirty"),
    ("7:05", "seven oh five"),
    ("7:00", "seven o'clock"),
    ("19:05", "nineteen oh five"),
    ("7:30 pm", "seven thirty P.M."),
    ("9 am", "nine A.M."),
    ("5-6pm", "five to six P.M."),
    ("9:30-17:45", "nine thirty to seventeen forty-five"),
    ("12:30:45", "twelve thirty and forty-five seconds"),
    # numbers
    ("0", "zero"),
    ("21", "twenty-one"),
    ("1,000", "one thousand"),
    ("12,345.67", "twelve thousand three hundred forty-five point six seven"),
    ("1000000", "one million"),
    ("3.14", "three point one four"),
    ("-3", "minus three"),
    (".5", "zero point five"),
    ("007", "zero zero seven"),
    ("1500 people", "one thousand five hundred people"),
    ("in 1999", "in nineteen ninety-nine"),
    ("since 2005", "since two thousand five"),
    ("1990s", "nineteen nineties"),
    ("the '80s", "the eighties"),
    ("2000s", "two thousands"),
    ("1990-1999", "nineteen ninety to nineteen ninety-nine"),
    ("1st 2nd 3rd 4th", "first second third fourth"),
    ("the 22nd", "the twenty-second"),
    ("100th", "one hundredth"),
    ("3-5 days", "three to five days"),
    ("score 3:2", "score three to two"),
    ("21-19", "twenty-one to nineteen"),
    ("1/2", "one half"),
    ("3/4", "three quarters"),
    ("2 1/2", "two and a half"),
    ("24/7", "twenty-four seven"),
    ("5/8", "five eighths"),
    # telephones
    ("555-0123", "five five five, oh one two three"),
    ("(555) 555-0123", "five five five, five five five, oh one two three"),
    ("+1 555-555-0123", "plus one, five five five, five five five, oh one two three"),
    # money and percent
    ("$1", "one dollar"),
    ("$3.50", "three dollars and fifty cents"),
    ("$1.01", "one dollar and one cent"),
    ("$0.99", "ninety-nine cents"),
    ("$5M", "five million dollars"),
    ("$5 million", "five million dollars"),
    ("$1,234.56", "one thousand two hundred thirty-four dollars and fifty-six cents"),
    ("€20", "twenty euros"),
    ("£3.50", "three pounds and fifty pence"),
    ("¥100", "one hundred yuan"),
    ("100 USD", "one hundred U.S. dollars"),
    ("50%", "fifty percent"),
    ("10-20%", "ten to twenty percent"),
    ("3.5%", "three point five percent"),
    # units
    ("5 km/h", "five kilometers per hour"),
    ("25°C", "twenty-five degrees Celsius"),
    ("98.6°F", "ninety-eight point six degrees Fahrenheit"),
    ("-5°C", "minus five degrees Celsius"),
    ("16GB", "sixteen gigabytes"),
    ("1 kg", "one kilogram"),
    ("3 m²", "three square meters"),
    ("a 5-km run", "a five kilometer run"),
    ("20-25 °C", "twenty to twenty-five degrees Celsius"),
    ("120 Mbps", "one hundred twenty megabits per second"),
    # names with numbers
    ("v2.5", "version two point five"),
    ("1.2.3", "one point two point three"),
    ("GPT-4", "GPT four"),
    ("iPhone 15", "iPhone fifteen"),
    ("MP3", "MP three"),
    ("H2O", "H two O"),
    ("5G", "five G"),
    ("COVID-19", "COVID nineteen"),
    ("No. 5", "number five"),
    ("#1", "number one"),
    # abbreviations, addresses, signs
    ("Dr. Smith", "Doctor Smith"),
    ("Mr. and Mrs. Lee", "Mister and Missus Lee"),
    ("cats vs. dogs", "cats versus dogs"),
    ("e.g. this", "for example this"),
    ("i.e. that", "that is that"),
    ("apples, etc.", "apples, et cetera."),
    ("Q&A", "Q and ay"),
    ("C++ and C#", "C plus plus and C sharp"),
    ("1+1=2", "one plus one equals two"),
    ("5-3=2", "five minus three equals two"),
    ("3x4", "three by four"),
    ("King Henry VIII", "King Henry the eighth"),
    ("World War II", "World War two"),
    ("a.b@x.com", "a dot b at x dot com"),
    ("www.example.com", "W W W dot example dot com"),
    ("example.org/docs.", "example dot org slash docs."),
    ("don't stop", "don't stop"),
    ("2024-05", "May twenty twenty-four"),
    ("Plan A works", "Plan ay works"),
    ("A plan", "A plan"),
    ("Qwen2.5-7B", "kwen two point five seven B"),
    ("He is 5'11\" tall", "He is five foot eleven tall"),
    ("221 Baker St.", "two hundred twenty-one Baker Street"),
    ("in St. Louis", "in Saint Louis"),
    ("10:30am-12pm", "ten thirty A.M. to twelve P.M."),
    ("1.5x faster", "one point five times faster"),
    ("RTX 4090", "RTX forty ninety"),
    ("Room 101", "Room one oh one"),
    ("$.50", "fifty cents"),
    ("10^6", "ten to the power of six"),
    ("pp. 5-7", "pages five to seven"),
    ("~5", "about five"),
    ("３０％", "thirty percent"),
]


@pytest.mark.parametrize(("written", "said"), CASES)
def test_as_it_is_said(written: str, said: str) -> None:
    assert re.sub(r" +", " ", normalize(written)).strip() == said


@given(st.text(alphabet="0123456789 ,.:/-$%°Ckmgh+=#@'()AaxVv²½", max_size=30))
def test_no_digit_is_left(text: str) -> None:
    assert not re.search(r"\d", normalize(text).replace("²", ""))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("13", "thirteen"),
        ("100", "one hundred"),
        ("999", "nine hundred ninety-nine"),
        ("1,000,001", "one million one"),
        ("9" * 25, " ".join(["nine"] * 25)),
    ],
)
def test_cardinal(number: str, words: str) -> None:
    assert cardinal(number) == words


def test_ranks_years_and_decades() -> None:
    assert [ordinal(n) for n in ("1", "12", "20", "1000")] == ["first", "twelfth", "twentieth", "one thousandth"]
    assert [year(n) for n in ("1066", "1900", "1905", "2000", "2010")] == [
        "ten sixty-six",
        "nineteen hundred",
        "nineteen oh five",
        "two thousand",
        "twenty ten",
    ]
    assert decade("1960") == "nineteen sixties"
