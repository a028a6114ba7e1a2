"""Chinese numbers and signs in characters."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webui.engine.kokoro.g2p.normalize_zh import normalize

CASES = [
    # dates and times
    ("2026-11-21", "二零二六年十一月二十一日"),
    ("2026/1/5", "二零二六年一月五日"),
    ("2026.11.21", "二零二六年十一月二十一日"),
    ("2026年11月21日", "二零二六年十一月二十一日"),
    ("2026-11-21T10:05:00Z", "二零二六年十一月二十一日十点零五分零秒"),
    ("1990年代", "一九九零年代"),
    ("90年代", "九十年代"),
    ("90后", "九零后"),
    ("08年", "零八年"),
    ("98年毕业", "九八年毕业"),
    ("10年前", "十年前"),
    ("2019-2021年", "二零一九到二零二一年"),
    ("2026世界杯", "二零二六世界杯"),
    ("2026人", "两千零二十六人"),
    ("2月2号", "二月二号"),
    ("7:30", "七点三十分"),
    ("7：30", "七点三十分"),
    ("19:05", "十九点零五分"),
    ("8:00", "八点"),
    ("2:30", "两点三十分"),
    ("9:00-18:00", "九点到十八点"),
    ("12:30:05", "十二点三十分零五秒"),
    ("7:30 PM", "下午七点三十分"),
    ("2点", "两点"),
    # telephones and codes
    ("13812345678", "幺三八，幺二三四，五六七八"),
    ("138-1234-5678", "幺三八，幺二三四，五六七八"),
    ("+86 138 1234 5678", "加八六，幺三八，幺二三四，五六七八"),
    ("010-62345678", "零幺零，六二三四五六七八"),
    ("400-800-1234", "四零零，八零零，幺二三四"),
    ("555-0123", "五五五，零幺二三"),
    ("拨打110", "拨打幺幺零"),
    ("验证码8848", "验证码八八四八"),
    ("308房间", "三零八房间"),
    ("007", "零零七"),
    ("G1234次", "G 幺二三四次"),
    ("RTX4090", "RTX 四零九零"),
    ("12345678901234567890", "一二三四五六七八九零一二三四五六七八九零"),
    # numbers
    ("0", "零"),
    ("10", "十"),
    ("105", "一百零五"),
    ("1,000元", "一千元"),
    ("12,345.6", "一万二千三百四十五点六"),
    ("3.14", "三点一四"),
    (".5", "零点五"),
    ("-5度", "负五度"),
    ("2个", "两个"),
    ("2年级", "二年级"),
    ("2亿", "两亿"),
    ("第2章", "第二章"),
    ("第3-5章", "第三到五章"),
    ("3-5天", "三到五天"),
    ("2~3个", "两到三个"),
    ("3～5倍", "三到五倍"),
    ("1/2", "二分之一"),
    ("3/4", "四分之三"),
    ("½", "二分之一"),
    ("1、2、3", "一、二、三"),
    ("①你好", "一，你好"),
    ("Ⅷ", "八"),
    ("３", "三"),
    # percent, scores, ratios
    ("50%", "百分之五十"),
    ("５０％", "百分之五十"),
    ("10%-20%", "百分之十到百分之二十"),
    ("10-20%", "百分之十到百分之二十"),
    ("-3.5%", "负百分之三点五"),
    ("5‰", "千分之五"),
    ("3:2", "三比二"),
    ("16:9", "十六比九"),
    ("比分21:19", "比分二十一比十九"),
    ("以2-1获胜", "以二比一获胜"),
    # money
    ("¥3.5", "三点五元"),
    ("￥1,234.50", "一千二百三十四点五元"),
    ("$20", "二十美元"),
    ("$2", "两美元"),
    ("$20万", "二十万美元"),
    ("€5", "五欧元"),
    ("£10", "十英镑"),
    ("100 USD", "一百美元"),
    ("¥3-5", "三到五元"),
    ("3.5元", "三点五元"),
    # units
    ("80km/h", "八十公里每小时"),
    ("25°C", "二十五摄氏度"),
    ("-5℃", "零下五摄氏度"),
    ("20-25°C", "二十到二十五摄氏度"),
    ("5 kg", "五公斤"),
    ("3m²", "三平方米"),
    ("100㎡", "一百平方米"),
    ("2km", "两公里"),
    ("220V", "两百二十伏"),
    ("16GB", "十六GB"),
    ("5G", "五G"),
    ("4K", "四K"),
    # names with numbers, addresses, signs
    ("v2.5", "V 二点五"),
    ("1.2.3", "一点二点三"),
    ("192.168.1.1", "一九二点一六八点一点一"),
    ("MP3", "MP三"),
    ("COVID-19", "COVID 十九"),
    ("No.1", "第一"),
    ("#3", "三号"),
    ("a.b@x.com", "a 点 b 艾特 x 点 com"),
    ("example.com。", "example 点 com。"),
    ("1+1=2", "一加一等于二"),
    ("5-3=2", "五减三等于二"),
    ("3×4", "三乘四"),
    ("1920x1080", "一千九百二十乘一千零八十"),
    ("C++", "C加加"),
    ("Q&A", "Q and A"),
    ("A & B", "A 和 B"),
    ("x²", "x的平方"),
    ("π≈3.14", "派约等于三点一四"),
    ("A→B", "A到B"),
    ("你好 API", "你好 API"),
    ("2024-05", "二零二四年五月"),
    ("10w", "十万"),
    ("有 2 只猫", "有两只猫"),
    ("增长12.5%，", "增长百分之十二点五，"),
    ("12/25前回复", "十二月二十五日前回复"),
    ("第1/3页", "第一页，共三页"),
    ("100元/人", "一百元每人"),
    ("3.5万元/㎡", "三点五万元每平方米"),
    ("Qwen2.5-7B", "Qwen二点五 七B"),
    ("QQ：12345678", "QQ：幺二三四五六七八"),
    ("10^6", "十的六次方"),
    ("10⁶", "十的六次方"),
    ("H₂O", "H二O"),
    ("~5分钟", "约五分钟"),
    ("1:1:1", "一比一比一"),
    ("第2~3名", "第二到三名"),
    ("1980s", "一九八零年代"),
    ("24小时×7天", "二十四小时乘七天"),
]


def said(written: str, read_numbers: Callable[[str], str]) -> str:
    return re.sub(r" +", " ", normalize(written, read_numbers)).strip()


@pytest.mark.parametrize(("written", "expected"), CASES)
def test_as_it_is_said(written: str, expected: str, read_numbers: Callable[[str], str]) -> None:
    assert said(written, read_numbers) == expected


@pytest.mark.parametrize(("written", "expected"), CASES)
def test_the_same_inside_a_sentence(written: str, expected: str, read_numbers: Callable[[str], str]) -> None:
    if written in {"2026世界杯", "7:30 PM"} or not expected[-1].isalnum() or not re.search("[一-鿿]", expected):
        return
    assert expected in said(f"他说，{written}，是的。", read_numbers)


def test_latin_letters_never_reach_the_grammar() -> None:
    shown: list[str] = []
    normalize("GPU有24GB，API v2.5，$3.5 at 7:30 and 5 apples", lambda text: shown.append(text) or text)
    assert shown
    assert not [text for text in shown if re.search("[A-Za-z]", text)]


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="0123456789 ,.:/-~¥$%°Ckmgh+=#@年月日点个比分第AaxVv²½，。（", max_size=24))
def test_no_digit_is_left(text: str, read_numbers: Callable[[str], str]) -> None:
    assert not re.search(r"[0-9]", normalize(text, read_numbers))


def test_no_decimal_is_taken_for_a_date(read_numbers: Callable[[str], str]) -> None:
    for whole in range(32):
        for fraction in (1, 5, 12, 25, 31):
            result = said(f"涨{whole}.{fraction}%，到{whole}.{fraction}倍", read_numbers)
            assert not set(result) & set("年月日时秒"), result
            assert result.count("点") == 2


@pytest.mark.parametrize(
    "unit", ["1", "1-", "1,", "1.", "1:", "a1", "$1", "1/", "1 ", "2个", "1-2km", "+1 ", "1%", "v1."]
)
def test_very_long_texts_are_read(unit: str) -> None:
    # With work that grows with the square this would end at the time limit of the test run.
    assert normalize(unit * (20_000 // len(unit)), lambda text: text)
