"""The page's scripts as one file: nothing runs twice, and what cannot be bundled is said."""

from __future__ import annotations

import re

import pytest

from webui.ui.assets import collect
from webui.ui.bundle import BUNDLE, bundled

FILES = {
    "js/main.js": b'import { add, one as first } from "./numbers.js";\nexport const all = add(first, 1);\n',
    "js/numbers.js": b"export const one = 1;\nexport function add(a, b) {\n  return a + b;\n}\n",
    "js/tab.js": b'import { add } from "./numbers.js";\nimport { x } from "./parts/x.js";\n',
    "js/parts/x.js": b'import { one } from "../numbers.js";\nexport const x = one;\n',
    "css/a.css": b"a {}",
}


def test_a_script_stands_behind_what_it_needs_and_others_take_from_the_bundle() -> None:
    found = bundled(FILES, "js/main.js")
    assert set(found) == {BUNDLE, "js/tab.js", "js/parts/x.js", "css/a.css"}
    bundle = found[BUNDLE].decode()
    assert bundle.index("// js/numbers.js") < bundle.index("// js/main.js")
    assert "const { add, one: first } = $module0;" in bundle
    assert "return { one, add };" in bundle
    assert found["js/tab.js"].decode().splitlines() == [
        'import { modules } from "./page.js";',
        'const { add } = modules["js/numbers.js"];',
        'import { x } from "./parts/x.js";',
    ]
    assert found["js/parts/x.js"].startswith(b'import { modules } from "../page.js";\n')


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('import x from "./numbers.js";', "cannot be bundled: import x"),
        ("export default 1;", "cannot be bundled: export default"),
        ("export let count = 0;", "cannot be bundled: export let"),
        ("const here = import.meta.url;", "cannot be bundled: import.meta"),
        ('import { all } from "./main.js";', "imports itself"),
    ],
)
def test_what_is_written_in_another_way_is_an_error(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        bundled({**FILES, "js/numbers.js": line.encode()}, "js/main.js")


def test_the_page_starts_with_one_script_and_tabs_come_when_they_are_opened() -> None:
    files = collect().files
    bundle = files[BUNDLE].decode()
    assert {"js/dom.js", "js/panel_takes.js", "js/main.js"} <= set(
        re.findall(r"^// (js/\w+\.js)$", bundle, re.MULTILINE)
    )
    assert "js/tab_history.js" in files
    assert "tab_history.js" not in bundle
    assert "js/dom.js" not in files
