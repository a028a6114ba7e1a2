"""English abbreviations, currencies, and names that are not read as they are written.

Invariants: data only.
"""

from __future__ import annotations

#: Abbreviation -> words.
ABBREVIATIONS: dict[str, str] = {
    "Mr.": "Mister",
    "Mrs.": "Missus",
    "Ms.": "Miz",
    "Dr.": "Doctor",
    "Prof.": "Professor",
    "Jr.": "Junior",
    "Sr.": "Senior",
    "Gen.": "General",
    "Capt.": "Captain",
    "Lt.": "Lieutenant",
    "Sen.": "Senator",
    "Gov.": "Governor",
    "Rev.": "Reverend",
    "Mt.": "Mount",
    "Ft.": "Fort",
    "vs.": "versus",
    "vs": "versus",
    "etc.": "et cetera",
    "e.g.": "for example",
    "i.e.": "that is",
    "approx.": "approximately",
    "dept.": "department",
    "est.": "established",
    "Inc.": "Incorporated",
    "Ltd.": "Limited",
    "Corp.": "Corporation",
    "Co.": "Company",
    "Fig.": "figure",
    "fig.": "figure",
    "Vol.": "volume",
    "vol.": "volume",
    "Ave.": "Avenue",
    "Blvd.": "Boulevard",
    "Rd.": "Road",
    "w/o": "without",
    "w/": "with",
}

#: Names that the dictionary does not know and whose letters mislead.
NAMES: dict[str, str] = {
    "JSON": "jay-sawn",
    "PyTorch": "pie torch",
    "NumPy": "num pie",
    "PyPI": "pie P I",
    "Wi-Fi": "why fie",
    "WiFi": "why fie",
    "GitHub": "git hub",
    "YouTube": "you tube",
    "GUI": "gooey",
    "Ph.D.": "P H D",
    "PhD": "P H D",
    "WebUI": "web U I",
    "IndexTTS": "index T T S",
    "LaTeX": "lay-tech",
    "Qwen": "kwen",
    "www": "W W W",
    "a.k.a.": "A K A",
    "ASAP": "A S A P",
}

#: Sign -> one, several, the hundredth part, several of them.
CURRENCIES: dict[str, tuple[str, str, str, str]] = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "US$": ("U.S. dollar", "U.S. dollars", "cent", "cents"),
    "HK$": ("Hong Kong dollar", "Hong Kong dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yuan", "yuan", "fen", "fen"),
    "RMB": ("yuan", "yuan", "fen", "fen"),
    "CNY": ("yuan", "yuan", "fen", "fen"),
    "USD": ("U.S. dollar", "U.S. dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "jeon", "jeon"),
}
