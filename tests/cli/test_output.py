"""The one sink: what goes where, as text and as JSON."""

import io
import json
import time
from collections.abc import Callable

from launcher.cli.output import Output
from launcher.errors import ConfigError, PortError
from launcher.progress import Part, Progress


class Terminal(io.StringIO):
    """A text stream that says that a person looks at it."""

    def isatty(self) -> bool:
        return True


def make(
    *, as_json: bool = False, terminal: bool = False, clock: Callable[[], float] = time.monotonic
) -> tuple[Output, io.StringIO, io.StringIO]:
    stdout, stderr = io.StringIO(), Terminal() if terminal else io.StringIO()
    return Output(json=as_json, stdout=stdout, stderr=stderr, clock=clock), stdout, stderr


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


def test_progress_is_bars_for_a_person_redrawn_and_wiped_before_the_next_line() -> None:
    output, stdout, stderr = make(terminal=True)
    parts = (Part("model.bin", 4e6, 8e6, 1e6), Part("a/very/long/path/of/weights.safetensors", 1e6, 2e6))
    output.progress(Progress("fetch", 5e6, 1e7, "bytes", 2e6, 2.4, parts, (Part("mirror.example", 5e6, None, 2e6),)))
    first = stderr.getvalue().split("\n")
    assert first == [
        "fetching           ████████░░░░░░░░  50 %  5.0 of 10.0 MB  2.0 MB/s  2 s left",
        "model.bin          ████████░░░░░░░░  50 %  4.0 of 8.0 MB  1.0 MB/s",
        "…ights.safetensors ████████░░░░░░░░  50 %  1.0 of 2.0 MB",
        "from mirror.example 2.0 MB/s",
    ]
    stderr.truncate(0)
    output.progress(Progress("list"))
    assert stderr.getvalue().strip("\0") == "\r\x1b[3A\x1b[Jasking the mirrors"
    output.line("done")
    assert stderr.getvalue().endswith("\r\x1b[J") and stdout.getvalue() == "done\n"


def test_progress_is_a_line_for_each_stage_and_tenth_elsewhere_but_not_too_often() -> None:
    now = [0.0]
    output, stdout, stderr = make(clock=lambda: now[0])
    for done in range(3):
        output.progress(Progress("load", done, 3))
    for done in (0, 5, 9, 10, 20, 100):
        now[0] += 0.0 if done == 20 else 10.0
        output.progress(Progress("fetch", done * 1e6, 1e8, "bytes"))
    output.progress(Progress("some_word"))
    assert stderr.getvalue().splitlines() == [
        "loading the weights",
        "fetching  0 %  0 B of 100.0 MB",
        "fetching  10 %  10.0 of 100.0 MB",
        "fetching  100 %  100.0 of 100.0 MB",
        "some word",
    ]
    assert stdout.getvalue() == ""


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
