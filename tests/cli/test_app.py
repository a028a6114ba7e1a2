"""The command line as people and programs meet it: each test runs it as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import __version__
from launcher.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery-staple"
#: Commands of the tests' own: they fail in every way that a command can.
FAILING = '''
import sys, time, click
from launcher.cli.app import CommandEntry, main
from launcher.errors import *

@click.command()
@click.argument("what")
@click.pass_obj
def fail(context, what):
    """Fails."""
    config = context.load_config({"LAUNCHER_THREADS": None})
    if what == "bug":
        raise RuntimeError("a bug with " + config.token)
    if what == "wait":
        context.output.line("waiting")
        time.sleep(60)
    if what == "four":
        return 4
    if what == "speech":
        raise SpeechError("voice 'x' is not known.", fix="Use another.")
    if what == "name":
        context.output.line(config.instance)
        return 0
    raise {"port": PortError, "start": StartError}[what](what + " is wrong.", fix="Mend it.")

if __name__ == "__main__":
    sys.exit(main(commands={"fail": CommandEntry("failing:fail", "Fails.")}))
'''


def run(
    *arguments: str, cwd: Path, environ: dict[str, str] | None = None, module: str = "launcher"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=environment(cwd, environ),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def environment(cwd: Path, environ: dict[str, str] | None = None) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(cwd)])
    base = {"PYTHONPATH": paths, "LAUNCHER_DATA_DIR": str(cwd / "data"), "PYTHONUTF8": "1"}
    return {**os.environ, **base, **(environ or {})}


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    (tmp_path / "failing.py").write_text(FAILING)
    return tmp_path


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_every_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 0 and result.stderr == ""
    for name, entry in COMMANDS.items():
        assert f"  {name} " in result.stdout and entry.summary in result.stdout


def test_without_a_command_programs_get_the_list(tmp_path: Path) -> None:
    result = run("--json", cwd=tmp_path)
    assert json.loads(result.stdout)["commands"] == {name: entry.summary for name, entry in COMMANDS.items()}


def test_the_version(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout == f"{__version__}\n"
    assert json.loads(run("--json", "--version", cwd=tmp_path).stdout) == {"version": __version__}


def test_the_console_script_is_the_same_program() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'tts-launcher = "launcher.cli.app:main"' in pyproject


def test_help_imports_no_command(tmp_path: Path) -> None:
    program = "import sys; from launcher.cli.app import main; main(['--help']); print(sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    modules = result.stdout.splitlines()[-1]
    for name in ("launcher.cli.config", "launcher.config", "launcher.process", "psutil", "dotenv", "platformdirs"):
        assert f"'{name}'" not in modules


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("confg",), "Did you mean config?"),
        (("zzz",), "Use one of start,"),
        (("--prot", "1"), "--prot"),
        (("config", "--jsn"), "See tts-launcher config --help."),
        (("config", "extra"), "extra"),
        (("config", "--instance"), "--instance"),
        (("stop", "--grace", "nan"), "no number of seconds"),
        (("cache", "ls", "--cache"), "See tts-launcher cache ls --help."),
    ],
)
def test_a_wrong_command_line_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1 and words in result.stderr
    as_json = run("--json", *arguments, cwd=tmp_path)
    error = json.loads(as_json.stdout)["error"]
    assert as_json.returncode == error["exit_code"] == 2 and words in f"{error['message']} {error['fix']}"
    assert as_json.stderr == ""


@pytest.mark.parametrize("before", [True, False])
def test_shared_options_stand_before_or_after_the_command(tmp_path: Path, before: bool) -> None:
    (tmp_path / "other.env").write_text("LAUNCHER_PORT=1234\n")
    shared = ["--json", "--instance", "studio", "--data-dir", "elsewhere", "--env-file", "other.env"]
    result = run(*([*shared, "config"] if before else ["config", *shared]), cwd=tmp_path)
    values = {item["name"]: (item["value"], item["source"]) for item in json.loads(result.stdout)["settings"]}
    assert values["LAUNCHER_INSTANCE"] == ("studio", "flag")
    assert values["LAUNCHER_DATA_DIR"] == (str(tmp_path / "elsewhere"), "flag")
    assert values["LAUNCHER_PORT"] == ("1234", ".env")


def test_the_option_nearer_to_the_command_counts(failing: Path) -> None:
    result = run("--instance", "one", "fail", "name", "--instance", "two", cwd=failing, module="failing")
    assert result.stdout == "two\n"


@pytest.mark.parametrize(("what", "code"), [("port", 3), ("speech", 8), ("start", 9), ("four", 4)])
def test_every_failure_has_its_exit_code(failing: Path, what: str, code: int) -> None:
    assert run("fail", what, cwd=failing, module="failing").returncode == code


def test_a_failure_is_a_sentence_or_an_object(failing: Path) -> None:
    assert run("fail", "port", cwd=failing, module="failing").stderr == "Error: port is wrong. Mend it.\n"
    result = run("fail", "port", "--json", cwd=failing, module="failing")
    assert json.loads(result.stdout) == {"error": {"message": "port is wrong.", "fix": "Mend it.", "exit_code": 3}}


def test_a_bug_is_a_sentence_and_its_details_are_kept_without_secrets(failing: Path) -> None:
    result = run("fail", "bug", cwd=failing, module="failing", environ={"LAUNCHER_TOKEN": TOKEN})
    kept = failing / "data" / "instances" / "default" / "logs" / "error.log"
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and str(kept) in result.stderr
    assert "RuntimeError" in result.stderr and "Traceback" not in result.stderr
    assert "Traceback" in kept.read_text() and "failing.py" in kept.read_text()
    assert TOKEN not in kept.read_text() + result.stderr


def test_a_bug_is_shown_whole_while_debugging(failing: Path) -> None:
    environ = {"LAUNCHER_TOKEN": TOKEN, "LAUNCHER_LOG_LEVEL": "debug"}
    result = run("fail", "bug", cwd=failing, module="failing", environ=environ)
    assert result.returncode == 1 and "Traceback" in result.stderr and TOKEN not in result.stderr


def test_a_bug_where_nothing_can_be_kept(failing: Path) -> None:
    (failing / "file").write_text("")
    environ = {"LAUNCHER_DATA_DIR": str(failing / "file" / "data")}
    result = run("fail", "bug", cwd=failing, module="failing", environ=environ)
    assert result.returncode == 1 and "Set LAUNCHER_LOG_LEVEL=debug" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="SIGINT")
def test_ctrl_c_ends_with_130_and_no_traceback(failing: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "failing", "fail", "wait"],
        cwd=failing,
        env=environment(failing),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and "Traceback" not in said


@pytest.mark.parametrize("arguments", [("config",), ("--help",), ("--json", "confg")])
def test_a_reader_that_left_is_no_accident(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.Popen(
        [sys.executable, "-m", "launcher", *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write_end)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and said == ""


def test_a_narrow_terminal_encoding_is_no_accident(tmp_path: Path) -> None:
    (tmp_path / "声音").mkdir()
    narrow = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C.UTF-8"}  # names of files are not narrow
    environ = {**narrow, "LAUNCHER_DATA_DIR": str(tmp_path / "声音")}
    result = run("config", cwd=tmp_path, environ=environ)
    assert result.returncode == 0 and "\\u58f0\\u97f3" in result.stdout
    as_json = run("config", "--json", cwd=tmp_path, environ=environ)
    assert json.loads(as_json.stdout)["paths"]["cache_dir"] == str(tmp_path / "声音" / "cache")


def test_nothing_is_written_by_looking(tmp_path: Path) -> None:
    run("config", cwd=tmp_path)
    run("--help", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])  # Python buffers what goes to no terminal, unless it is told not to
@pytest.mark.parametrize(
    ("redirection", "code"), [(">&-", 4), ("<&- >&- 2>&-", 4), ("2>/dev/full", 4), (">/dev/full", 5)]
)
def test_streams_that_are_closed_or_full_are_no_bug(
    tmp_path: Path, redirection: str, code: int, unbuffered: str
) -> None:
    command = f'"{sys.executable}" -m launcher status {redirection}'
    environ = environment(tmp_path, {"PYTHONUNBUFFERED": unbuffered})
    result = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert result.returncode == code, result.stderr
    assert not any(word in result.stderr for word in ("unexpected", "Traceback", "ignored"))


def test_a_python_without_the_packages_is_a_sentence(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-S", "-m", "launcher", "status"],  # -S: without site-packages
        cwd=tmp_path,
        env={**environment(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1 and "scripts/start" in result.stderr and "Traceback" not in result.stderr


def test_a_package_that_is_missing_is_no_bug(failing: Path) -> None:
    (failing / "failing.py").write_text(
        FAILING.replace('raise RuntimeError("a bug with " + config.token)', "import nosuch_pkg")
    )
    result = run("fail", "bug", cwd=failing, module="failing")
    assert (
        result.returncode == 1 and "nosuch_pkg is not installed" in result.stderr and "scripts/start" in result.stderr
    )


def test_a_thread_that_fails_shows_no_traceback(failing: Path) -> None:
    thread = "import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join(); return 4"
    (failing / "failing.py").write_text(FAILING.replace('raise RuntimeError("a bug with " + config.token)', thread))
    result = run("fail", "bug", cwd=failing, module="failing")
    assert result.returncode == 4 and "ZeroDivisionError" in result.stderr and "Traceback" not in result.stderr
