"""``batch``: has the running instance speak a whole file, row by row, and brings the results.

Invariants: the instance does the work, and goes on with it when this command is gone; Ctrl-C cancels what is left;
files appear when they are complete, and none is replaced unasked.
"""

from __future__ import annotations

import contextlib
import json
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from launcher.cli.app import Context
from launcher.cli.batch_list import read_file, with_its_files
from launcher.cli.output import Output
from launcher.cli.sound_file import check_path, file_in_place
from launcher.cli.speech_source import RunningInstance, running_instance
from launcher.errors import EngineError, NotRunningError, SpeechError, StorageError
from launcher.progress import Progress

_FORMATS = {".wav": "wav", ".mp3": "mp3", ".flac": "flac", ".opus": "opus", ".ogg": "opus"}
_SUBTITLES = {".srt": "srt", ".vtt": "vtt"}
_POLL_S = 0.5
_READ_BYTES = 256 * 1024
_MAX_SHOWN = 20


@dataclass(frozen=True)
class _Targets:
    """Where results go; ``None``: they are not wanted."""

    rows: Path | None
    joined: Path | None
    subtitles: Path | None


@click.command(name="batch", help="Speak every row of FILE: JSONL, CSV, plain text, Markdown, SRT or WebVTT.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "target",
    metavar="DIR|FILE.zip",
    help="Folder or zip file for the rows; FILE's name with .zip when nothing is named.",
)
@click.option("--join", metavar="FILE", help="Also, or only, one file of all rows (.wav .mp3 .flac .opus).")
@click.option("--subtitles", metavar="FILE", help="Subtitles with the true times (.srt .vtt).")
@click.option("--voice", default="", metavar="NAME", help="Voice of rows that name none.")
@click.option("--gap", type=float, metavar="SECONDS", help="Silence between rows of the joined file; 0.5 if not given.")
@click.option(
    "--format",
    "audio_format",
    type=click.Choice(["wav", "mp3", "flac", "opus"]),
    default="wav",
    show_default=True,
    help="Format of the rows' files.",
)
@click.option(
    "--kind",
    default="",
    metavar="KIND",
    help="What FILE is, when its name does not say: jsonl, csv, txt, markdown, srt or vtt.",
)
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.pass_obj
def command(
    context: Context,
    /,
    *,
    file: Path,
    target: str | None,
    join: str | None,
    subtitles: str | None,
    audio_format: str,
    force: bool,
    **options: Any,
) -> None:
    """Speaks a file's rows."""
    data = read_file(file)
    instance = running_instance(context.load_config())
    if instance is None:
        raise NotRunningError("There is no instance that could speak it.", fix="Start one: tts-launcher start")
    if target is None and join is None and subtitles is None:
        target = f"{file.stem}.zip"
    targets = _Targets(*(None if name is None else Path(name) for name in (target, join, subtitles)))
    _check(targets, force=force)
    job = _made(instance, file, data, options)
    output = context.output
    output.warnings(_told(job["problems"], job["problem_count"]))
    try:
        job = _finished(instance, job["id"], output)
    except KeyboardInterrupt:
        with contextlib.closing(instance.ask("POST", f"/api/jobs/{job['id']}/cancel")):
            raise
    files = _fetched(instance, job, targets, audio_format) if job["size_bytes"] else []
    _report(instance, job, files, output)


def _made(instance: RunningInstance, file: Path, data: bytes, options: Mapping[str, Any]) -> dict[str, Any]:
    query = {"name": file.name}
    if options["kind"]:
        query["format"] = options["kind"]
    if options["gap"] is not None:
        query["gap_s"] = str(options["gap"])
    if options["voice"]:
        query["defaults"] = json.dumps({"voice": options["voice"]})
    return _object(instance, "POST", f"/api/jobs?{urlencode(query)}", with_its_files(data, file, instance))


def _finished(instance: RunningInstance, job_id: str, output: Output) -> dict[str, Any]:
    """The job when nothing of it is left to do.

    Raises:
        EngineError: when it stopped by itself.
    """
    while True:
        job = _object(instance, "GET", f"/api/jobs/{job_id}")
        counts = job["counts"]
        if not counts["queued"] and not counts["running"]:
            return job
        note = job["note"]
        if job["state"] == "paused" and note:
            raise StorageError(str(note["message"]), fix=str(note["fix"]))
        if job["state"] == "paused":
            raise EngineError("The batch was paused on the page.", fix="Resume it there; its results stay there, too.")
        ended = counts["total"] - counts["queued"] - counts["running"]
        output.progress(Progress("speak", ended, counts["total"], "steps", None, job["eta_s"]))
        time.sleep(_POLL_S)


def _fetched(instance: RunningInstance, job: Mapping[str, Any], targets: _Targets, audio_format: str) -> list[Path]:
    """Brings what is wanted; returns the files."""
    path = f"/api/jobs/{job['id']}"
    files: list[Path] = []
    if targets.rows is not None and targets.rows.suffix.lower() == ".zip":
        _save(instance, f"{path}/zip?format={audio_format}", targets.rows)
        files.append(targets.rows)
    elif targets.rows is not None:
        files += _unpack(instance, f"{path}/zip?format={audio_format}", targets.rows)
    if targets.joined is not None:
        _save(instance, f"{path}/joined?format={_FORMATS[targets.joined.suffix.lower()]}", targets.joined)
        files.append(targets.joined)
    if targets.subtitles is not None:
        _save(instance, f"{path}/subtitles?format={_SUBTITLES[targets.subtitles.suffix.lower()]}", targets.subtitles)
        files.append(targets.subtitles)
    return files


def _report(instance: RunningInstance, job: Mapping[str, Any], files: list[Path], output: Output) -> None:
    """Says what became of it.

    Raises:
        SpeechError: when a row failed; the results of the others have been saved.
    """
    failed = job["counts"]["failed"] + job["counts"]["cancelled"]
    facts = {"job": job["id"], "counts": job["counts"], "audio_s": job["audio_s"], "overruns": job["overruns"]}
    facts |= {"files": [str(path) for path in files], "problems": job["problems"]}
    if job["overruns"]:
        output.note(f"{job['overruns']} rows are longer than their time; the batch's table on the page says which.")
    if not failed:
        count = job["counts"]["done"]
        done = f"{count} row{'s' * (count != 1)}, {job['audio_s']:.1f} s of speech"
        output.result(facts, "\n".join([done, *(str(path) for path in files)]))
        return
    rows = _object(instance, "GET", f"/api/jobs/{job['id']}/rows?state=failed&limit={_MAX_SHOWN}")["data"]
    first = "; ".join(f"row {row['position']}: {row['error']['message']}" for row in rows[:3] if row["error"])
    raise SpeechError(
        f"{failed} of {job['counts']['total']} rows were not spoken ({first or 'cancelled'}).",
        fix="The others are saved; mend those on the page and retry them." if files else "Mend them on the page.",
    )


def _check(targets: _Targets, *, force: bool) -> None:
    for path, endings in ((targets.joined, _FORMATS), (targets.subtitles, _SUBTITLES)):
        if path is not None and path.suffix.lower() not in endings:
            raise SpeechError(f"{path.name} has none of the endings {', '.join(endings)}.", fix="Give it one of them.")
    is_zip = targets.rows is not None and targets.rows.suffix.lower() == ".zip"
    for path in (targets.rows if is_zip else None, targets.joined, targets.subtitles):
        if path is not None:
            check_path(path, force=force)
    if targets.rows is not None and not is_zip and targets.rows.is_dir() and any(targets.rows.iterdir()) and not force:
        raise StorageError(f"The folder {targets.rows} is not empty.", fix="Give another one, or --force.")


def _unpack(instance: RunningInstance, path: str, folder: Path) -> list[Path]:
    """The rows as files of a folder."""
    archive = folder / ".batch.zip"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _save(instance, path, archive)
        files = []
        with zipfile.ZipFile(archive) as content:
            for name in content.namelist():
                target = folder / Path(name).name
                with content.open(name) as source, file_in_place(target) as file:
                    while data := source.read(_READ_BYTES):
                        file.write(data)
                files.append(target)
        return files
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"{folder} cannot be written: {reason}.", fix="Give another folder.") from None
    finally:
        with contextlib.suppress(OSError):
            archive.unlink(missing_ok=True)


def _save(instance: RunningInstance, path: str, target: Path) -> None:
    with contextlib.closing(instance.ask("GET", path)) as answer:
        if answer.status != 200:
            raise answer.error()
        with file_in_place(target) as file:
            while data := answer.read1(_READ_BYTES):
                file.write(data)


def _object(instance: RunningInstance, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
    with contextlib.closing(instance.ask(method, path, body)) as answer:
        if answer.status not in (200, 201):
            raise answer.error()
        return answer.json()


def _told(problems: list[Mapping[str, Any]], count: int) -> list[str]:
    lines = [f"line {one['line']}: {one['message']} {one['fix']}".strip() for one in problems[:_MAX_SHOWN]]
    return [*lines, f"and {count - len(lines)} more"] if count > len(lines) else lines
