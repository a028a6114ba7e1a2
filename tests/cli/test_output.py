"""The one sink: what goes where, as text and as JSON."""

import io
import json

from launcher.cli.output import Output
from launcher.errors import ConfigError, PortError
from launcher.progress import Progress


class Terminal(io.StringIO):
    """A text stream that says that a person looks at it."""

    def isatty(self) -> bool:
        return True


def make(*, as_json: bool = False, terminal: bool = False) -> tuple[Output, io.StringIO, io.StringIO]:
    stdout, stderr = io.StringIO(), Terminal() if terminal else io.StringIO()
    return Output(json=as_json, stdout=stdout, stderr=stderr), stdout, stderr


def test_a_result_is_text_or_json_and_text_is_built_only_when_needed() -> None:
    output, stdout, _ = make()
    output.result({"a": 1}, lambda: "one")
    assert stdout.getvalue() == "one\n"

    def never() -> str:
        raise AssertionError("text was built for JSON")

    output, stdout, _ = make(as_json=True)
    output.result({"声": 1}, never)
    assert stdout.getvalue() == '{"声": 1}\n'


def test_lines_go_to_stdout_and_notes_to_stderr() -> None:
    output, stdout, stderr = make()
    output.line("a line")
    output.note("a note")
    output.warnings(["careful"])
    assert stdout.getvalue() == "a line\n" and stderr.getvalue() == "a note\nWarning: careful\n"
    output, stdout, _ = make(as_json=True)
    output.line("a line")
    assert json.loads(stdout.getvalue()) == {"line": "a line"}


def test_an_error_with_several_lines_is_several_errors() -> None:
    output, stdout, stderr = make()
    output.error(ConfigError("one.\ntwo."))
    assert stderr.getvalue() == "Error: one.\nError: two.\n" and stdout.getvalue() == ""


def test_an_error_as_json_is_on_stdout() -> None:
    output, stdout, stderr = make(as_json=True)
    output.error(PortError("busy.", fix="Wait."))
    assert json.loads(stdout.getvalue()) == {"error": {"message": "busy.", "fix": "Wait.", "exit_code": 3}}
    assert stderr.getvalue() == ""


def test_progress_is_redrawn_for_a_person_and_wiped_before_the_next_line() -> None:
    output, stdout, stderr = make(terminal=True)
    output.progress(Progress("fetch", 5e6, 1e7, "bytes", 2e6, 2.5))
    assert stderr.getvalue() == "\r\x1b[Kfetch  50 %  2.0 MB/s  2 s left"
    output.line("done")
    assert stderr.getvalue().endswith("\r\x1b[K") and stdout.getvalue() == "done\n"


def test_progress_is_one_line_for_each_stage_elsewhere() -> None:
    output, stdout, stderr = make()
    for done in range(3):
        output.progress(Progress("load", done, 3))
    output.progress(Progress("warm_up"))
    assert stderr.getvalue() == "load  0 %\nwarm_up\n" and stdout.getvalue() == ""


def test_progress_for_programs_is_json_on_stderr() -> None:
    output, stdout, stderr = make(as_json=True)
    progress = Progress("load", 1, 3)
    output.progress(progress)
    assert json.loads(stderr.getvalue()) == {"progress": progress.to_json()} and stdout.getvalue() == ""


def test_what_a_terminal_cannot_show_is_escaped() -> None:
    raw = io.BytesIO()
    stdout = io.TextIOWrapper(raw, encoding="ascii")
    output = Output(json=False, stdout=stdout, stderr=io.StringIO())
    output.line("声 \udc80")
    assert raw.getvalue() == b"\\u58f0 \\udc80\n"
