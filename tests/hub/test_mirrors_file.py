"""Adding and removing mirrors: only the lines in question change, and what cannot be changed safely is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.config.mirror_list import MirrorEntry
from launcher.errors import ConfigError, StorageError
from launcher.hub.endpoints import BUILT_IN
from launcher.hub.mirrors_file import add_mirror, read_mirrors, remove_mirror

WORDS = {word: endpoint.url for word, endpoint in BUILT_IN.items()}
TEXT = """# ours
builtin = true  # keep these

[[mirror]]  # the lab's
url = "https://a.example"
weight = 2

[[mirror]]
url = "https://b.example"
# end
"""


def test_a_new_file_keeps_the_built_in_ones_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "mirrors.toml"
    new = MirrorEntry("https://c.example", "private", "hf_x", "", 2.5, 4, True, {"org/a": "org/b"})
    add_mirror(path, new)
    assert read_mirrors(path) == ("builtin", new)
    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["mirrors.toml"]


def test_comments_and_other_mirrors_stay(tmp_path: Path) -> None:
    path = tmp_path / "mirrors.toml"
    path.write_text(TEXT)
    add_mirror(path, MirrorEntry("https://c.example"))
    assert path.read_text().startswith(TEXT.rstrip())
    remove_mirror(path, "https://a.example", WORDS)
    assert read_mirrors(path) == ("builtin", MirrorEntry("https://b.example"), MirrorEntry("https://c.example"))
    assert "# ours" in path.read_text() and "the lab's" not in path.read_text()


def test_a_built_in_one_goes_by_naming_the_others(tmp_path: Path) -> None:
    path = tmp_path / "mirrors.toml"
    remove_mirror(path, WORDS["hf-mirror"], WORDS)
    assert read_mirrors(path) == ("official", "modelscope")
    remove_mirror(path, WORDS["official"], WORDS)
    assert read_mirrors(path) == ("modelscope",)


def test_what_cannot_be_done_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mirrors.toml"
    inline = 'mirror = [{url = "https://a.example"}]\n'
    path.write_text(inline)
    with pytest.raises(ConfigError, match="by hand"):
        remove_mirror(path, "https://a.example", WORDS)
    with pytest.raises(ConfigError, match="does not list"):
        remove_mirror(path, "https://z.example", WORDS)
    with pytest.raises(ConfigError, match="already"):
        add_mirror(path, MirrorEntry("https://a.example"))
    assert path.read_text() == inline


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        add_mirror(blocked / "mirrors.toml", MirrorEntry("https://a.example"))


@given(token=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
def test_any_token_survives(tmp_path_factory: pytest.TempPathFactory, token: str) -> None:
    path = tmp_path_factory.mktemp("mirrors") / "mirrors.toml"
    add_mirror(path, MirrorEntry("https://a.example", token=token))
    assert read_mirrors(path) == ("builtin", MirrorEntry("https://a.example", token=token))


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_of_changes_that_come_together_none_undoes_another(tmp_path: Path) -> None:
    path = tmp_path / "mirrors.toml"
    path.write_text(TEXT)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from launcher.config.mirror_list import MirrorEntry\n"
        "from launcher.hub.mirrors_file import add_mirror\n"
        "print(flush=True)\n"
        "sys.stdin.read()\n"
        "for number in range(20):\n"
        "    add_mirror(Path(sys.argv[1]), MirrorEntry(f'https://{sys.argv[2]}-{number}.example'))\n"
    )
    root = Path(__file__).parents[2]
    adding = [
        subprocess.Popen(
            [sys.executable, "-c", code, path, name], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in "cdef"
    ]
    for one in adding:
        assert one.stdout is not None and one.stdout.readline()
    for one in adding:
        assert one.stdin is not None
        one.stdin.close()
    for one in adding:
        assert one.wait(timeout=60) == 0
        assert one.stdout is not None
        one.stdout.close()
    assert len([entry for entry in read_mirrors(path) if isinstance(entry, MirrorEntry)]) == 2 + 4 * 20
    assert [each.name for each in tmp_path.iterdir()] == ["mirrors.toml"]
