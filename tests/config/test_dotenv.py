"""The .env file: its syntax, and a sentence for everything that can be wrong with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.config import load
from launcher.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(content: bytes) -> str:
    Path(".env").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load({}, None, {})
    return str(caught.value)


def test_comments_quotes_export_and_references() -> None:
    Path(".env").write_text(
        "# comment\n\nexport LAUNCHER_INSTANCE='studio' # why\nROOT=/big\n"
        'HF_HOME="${ROOT}/hf"\nTORCH_HOME=${FROM_SHELL}/torch\n'
    )
    config = load({"FROM_SHELL": "/shell"}, None, {})
    assert config.instance == "studio"
    assert config.standard == {"ROOT": "/big", "HF_HOME": "/big/hf", "TORCH_HOME": "/shell/torch"}


def test_windows_line_ends_and_a_byte_order_mark() -> None:
    Path(".env").write_bytes(b"\xef\xbb\xbfLAUNCHER_PORT=1234\r\nLAUNCHER_THREADS=2\r\n")
    config = load({}, None, {})
    assert (config.port, config.threads) == (1234, 2)


def test_other_names_go_to_the_children_unless_the_environment_has_them() -> None:
    Path(".env").write_text("OMP_NUM_THREADS=2\nPATH=/evil\n")
    assert load({"PATH": "/usr/bin"}, None, {}).standard == {"OMP_NUM_THREADS": "2"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"LAUNCHER_PORT=1234\nhello world\n", 2),
        (b"\n\n# comment\nLAUNCHER_PORT\n", 4),
        (b"LAUNCHER_TOKEN='unclosed-secret\n", 1),
        (b"LAUNCHER_PORT=1\n\n\n=value\n", 4),
    ],
)
def test_a_malformed_line_is_named_by_its_number_and_not_repeated(content: bytes, line: int) -> None:
    said = refusal(content)
    assert f"{Path.cwd() / '.env'} line {line} is not a setting" in said
    assert "hello" not in said and "unclosed-secret" not in said


def test_an_unknown_setting_names_the_nearest_and_its_line() -> None:
    said = refusal(b"\nLAUNCHER_HOTS=127.0.0.1\n")
    assert "line 2" in said and "Did you mean LAUNCHER_HOST?" in said


def test_a_misspelt_standard_name_is_warned_about() -> None:
    Path(".env").write_text("HF_ENDPOIN=https://hf-mirror.com\n")
    warnings = load({}, None, {}).warnings
    assert len(warnings) == 1 and "did you mean HF_ENDPOINT?" in warnings[0]


def test_a_name_that_stands_twice_is_warned_about() -> None:
    Path(".env").write_text("LAUNCHER_PORT=1001\nLAUNCHER_THREADS=1\nLAUNCHER_PORT=1002\n")
    config = load({}, None, {})
    assert config.port == 1002 and len(config.warnings) == 1 and "lines 1 and 3" in config.warnings[0]


def test_a_missing_default_file_is_fine_and_a_missing_named_one_is_not() -> None:
    assert load({}, None, {}).dotenv_path is None
    with pytest.raises(ConfigError, match=r"--env-file .*nowhere\.env does not exist"):
        load({}, Path("nowhere.env"), {})


def test_a_folder_is_no_settings_file() -> None:
    Path(".env").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        load({}, None, {})


def test_another_encoding_is_said() -> None:
    assert "line 2 is not UTF-8" in refusal("A=1\nB=中".encode("gb18030"))


def test_a_huge_file_is_no_settings_file() -> None:
    assert "larger than 1 MiB" in refusal(b"A=1\n" * 300_000)


def test_a_nul_character_is_refused() -> None:
    assert "NUL" in refusal(b"OTHER=a\0b\n")
    assert "control character" in refusal(b"LAUNCHER_ENGINE=a\0b\n")


def test_a_link_in_a_circle_is_said() -> None:
    Path(".env").symlink_to(".env")
    with pytest.raises(ConfigError, match="cannot be read"):
        load({}, None, {})


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    """Root may read everything, so a process of its own gives that right away first."""
    (tmp_path / ".env").write_text("LAUNCHER_PORT=1\n")
    (tmp_path / ".env").chmod(0)
    program = (
        "import ipaddress, os, launcher.config.sources; from pathlib import Path\n"
        "os.getuid() or os.seteuid(65534)\n"
        "try: launcher.config.sources.load({}, Path('.env'), {'LAUNCHER_DATA_DIR': '/d'})\n"
        "except launcher.config.sources.ConfigError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "cannot be read (Permission denied)" in result.stdout, result.stderr
