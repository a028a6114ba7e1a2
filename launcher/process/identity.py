"""Whose process is it? A pure judgement over facts, with the reason in a sentence.

Invariants: a name or a port alone proves nothing; when in doubt a process is foreign; this process, its ancestors and
other people's processes are never ours; `judge` reads nothing but its arguments.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from launcher.process.facts import (
    MARK_VARIABLE,
    ProcessFacts,
    current_owner,
    mark_prefix,
    new_mark,
    observe,
    observe_all,
    own_pids,
    same_time,
    still,
)
from launcher.process.ports import port_holder
from launcher.process.runfile import RunRecord

__all__ = [
    "MARK_VARIABLE",
    "Leftovers",
    "ProcessFacts",
    "StaleScripts",
    "Verdict",
    "current_owner",
    "find_leftovers",
    "judge",
    "new_mark",
    "observe",
    "observe_all",
    "own_pids",
    "port_holder",
    "still",
]

_INTERPRETER = re.compile(r"(python|pythonw|pypy)[0-9.]*t?(\.exe)?", re.IGNORECASE)
#: The interpreter's options that take the rest of their argument, or else the next one; flags may stand before them.
_OPTION_WITH_VALUE = re.compile(r"-[^-cmWX]*(?P<letter>[cmWX])(?P<value>.*)", re.DOTALL)
_PAGE_SCRIPT = "webui.py"
_ENGINE_MODULE = "webui.engine.worker"
_LAUNCHER_MODULE = "launcher"
_SHELL = re.compile(r"(ba|da|z|k)?sh")
_LAUNCHER_SCRIPTS = ("tts-launcher", "tts-launcher.exe")


@dataclass(frozen=True)
class Verdict:
    """Whether a process is ours, and why, as one sentence for a person.

    Attributes:
        ours, reason: as said.
        alike: it is not ours, but all that speaks against it is whose or where it is: worth naming.
    """

    ours: bool
    reason: str
    alike: bool = False


@dataclass(frozen=True)
class StaleScripts:
    """Scripts that, running from a folder without a launcher, are left over from an earlier run of an app.

    Attributes:
        folders: the app's folder in each form under which a process may know it.
        scripts: paths below it, or ``-m module``.
    """

    folders: tuple[str, ...]
    scripts: tuple[str, ...]


@dataclass(frozen=True)
class _Program:
    """What a Python interpreter was told to run: a script's path, or a module's name; the other one is empty."""

    script: str = ""
    module: str = ""
    arguments: tuple[str, ...] = ()


def judge(
    facts: ProcessFacts,
    *,
    instance: str,
    data_dir: str,
    owner: str,
    project_dirs: Sequence[str],
    record: RunRecord | None,
    own_pids: frozenset[int],
    stale: StaleScripts | None = None,
) -> Verdict:
    """Decides whether a process belongs to an instance.

    Args:
        facts: the process.
        instance: the instance's name.
        data_dir: the instance's persistent root: another folder's instance of the same name is not ours.
        owner: the user on whose behalf the launcher runs.
        project_dirs: folders whose ``webui.py`` is ours, absolute and without symbolic links.
        record: the run record that the instance left, if there is one.
        own_pids: this process and its ancestors.
        stale: what the profile of the app that is about to start calls left over.

    Returns:
        The verdict; its reason completes no other sentence and ends with a full stop.
    """
    refusal = _refusal(facts, owner, own_pids)
    if refusal:
        alike = bool(_recorded(facts, record)) or _is_alike(facts, instance, data_dir, project_dirs)
        return Verdict(False, refusal, alike and facts.pid > 0 and facts.pid not in own_pids)
    component = _recorded(facts, record)
    if component:
        return Verdict(True, f"The run file names it as the {component} of instance {instance!r}.")
    if facts.mark:
        return _judge_mark(facts.mark, instance, data_dir, record)
    return _judge_app(facts, stale) or _judge_unmarked(facts, project_dirs)


@dataclass(frozen=True)
class Leftovers:
    """What one look at every process found, each process with its verdict.

    Attributes:
        ours: they belong to the instance, oldest first; this command and its ancestors excepted.
        alike: they look like it and are to be left alone: other people's, in containers, or ended and not collected.
    """

    ours: tuple[tuple[ProcessFacts, Verdict], ...]
    alike: tuple[tuple[ProcessFacts, Verdict], ...]


def find_leftovers(
    *,
    instance: str,
    data_dir: str,
    project_dirs: Sequence[str],
    record: RunRecord | None,
    stale: StaleScripts | None = None,
) -> Leftovers:
    """Looks at every process once.

    Call it when no supervisor of the instance holds the lock: what is ours then is left over.

    Args:
        instance, data_dir, record, stale: as in `judge`.
        project_dirs: folders whose ``webui.py`` is ours; symbolic links are followed.
    """
    folders = sorted({str(form) for path in map(Path, project_dirs) for form in (path.absolute(), path.resolve())})
    owner, mine = current_owner(), own_pids()
    ours: list[tuple[ProcessFacts, Verdict]] = []
    alike: list[tuple[ProcessFacts, Verdict]] = []
    for facts in observe_all():
        verdict = judge(
            facts,
            instance=instance,
            data_dir=data_dir,
            owner=owner,
            project_dirs=folders,
            record=record,
            own_pids=mine,
            stale=stale,
        )
        if verdict.ours:
            ours.append((facts, verdict))
        elif verdict.alike:
            alike.append((facts, verdict))
    ours.sort(key=lambda pair: (pair[0].created_at, pair[0].pid))
    return Leftovers(tuple(ours), tuple(alike))


def _is_alike(facts: ProcessFacts, instance: str, data_dir: str, project_dirs: Sequence[str]) -> bool:
    """Whether a process carries the instance's mark or runs one of our programs from our folder."""
    if facts.mark:
        return facts.mark.startswith(mark_prefix(instance, data_dir))
    return _judge_unmarked(replace(facts, mark=""), project_dirs).ours


def _refusal(facts: ProcessFacts, owner: str, own_pids: frozenset[int]) -> str:
    """Why the process may never be touched, whatever else is known of it; empty when it may."""
    if facts.pid <= 0:
        return "The operating system does not tell which process it is."
    if facts.pid in own_pids:
        return "It is this command itself or one of its ancestors."
    if facts.status == "zombie":
        return f"It has ended already and waits for its parent, pid {facts.parent_pid}, to collect it."
    if not owner or facts.owner != owner:
        return f"It belongs to {facts.owner or 'an unknown user'}, not to {owner or 'a known user'}."
    if facts.is_contained:
        return "It lives in a container of its own: end it with the container's own commands."
    return ""


def _recorded(facts: ProcessFacts, record: RunRecord | None) -> str:
    """The component's name under which the record knows this very process, or the empty string."""
    if record is None:
        return ""
    if facts.pid == record.supervisor_pid and same_time(facts.created_at, record.supervisor_created_at):
        return "supervisor"
    for name, (pid, created_at) in record.children.items():
        if facts.pid == pid and same_time(facts.created_at, created_at):
            return name
    return ""


def _judge_mark(mark: str, instance: str, data_dir: str, record: RunRecord | None) -> Verdict:
    if record is not None and mark == record.mark:
        return Verdict(True, f"It carries the mark of the last run of instance {instance!r}.")
    if mark.startswith(mark_prefix(instance, data_dir)):
        return Verdict(True, f"It carries the mark of an earlier run of instance {instance!r}.")
    other = mark.partition(":")[0]
    if other == instance:
        return Verdict(False, f"It belongs to an instance {instance!r} with another data folder.")
    return Verdict(False, f"It belongs to another instance, {other!r}.")


def _judge_app(facts: ProcessFacts, stale: StaleScripts | None) -> Verdict | None:
    """The verdict over a process that an app's profile calls left over; ``None`` for every other one."""
    if stale is None or facts.mark is None:
        return None
    program = _run_by_python(facts.command)
    if not (program.script or program.module):
        program = _run_by_shell(facts.command)
    place = _absolute(program.script, facts.cwd) if program.script else None
    for folder in stale.folders:
        for script in stale.scripts:
            module = script.removeprefix("-m ").strip() if script.startswith("-m ") else ""
            runs = (
                program.module == module and facts.cwd is not None and _within(facts.cwd, folder)
                if module
                else place is not None and _same_path(place, f"{folder}/{script}")
            )
            if runs:
                return Verdict(True, f"It runs {script} from {folder}, the app's folder, without a launcher.")
    return None


def _run_by_shell(command: Sequence[str]) -> _Program:
    """The script that a shell runs, or that runs by itself."""
    words = list(command)
    if words and _SHELL.fullmatch(_base_name(words[0])):
        words = [word for word in words[1:] if not word.startswith("-")] if "-c" not in words else []
    return _Program(script=words[0]) if words else _Program()


def _judge_unmarked(facts: ProcessFacts, project_dirs: Sequence[str]) -> Verdict:
    """The verdict over a process without a mark: started by hand, or by something that is not the launcher."""
    program = _program(facts.command)
    if program is None:
        return Verdict(False, "Its command line is none of a launcher, page or engine.")
    if program.module == _LAUNCHER_MODULE:
        # A supervisor carries no mark of its own, and several instances may run from one checkout: only the run
        # file or the lock can tell whose it is.
        return Verdict(False, "It is a launcher that this instance's run file does not name: another instance's.")
    if facts.mark is None:
        return Verdict(False, "Its environment cannot be read, so its instance is unknown.")
    what = _PAGE_SCRIPT if program.script else f"-m {program.module}"
    place = _absolute(program.script, facts.cwd) if program.script else facts.cwd
    if place is None:
        return Verdict(False, f"It runs {what}, but from a folder that cannot be read.")
    for folder in project_dirs:
        if _within(place, folder):
            return Verdict(True, f"It runs {what} from {folder}, a folder of ours, without a launcher.")
    return Verdict(False, f"It runs {what} from {place}, which is no folder of ours.")


def _program(command: Sequence[str]) -> _Program | None:
    """The launcher, page or engine that a command line runs; ``None`` for every other command line."""
    program = _run_by_python(command)
    name = _base_name(program.script)
    if name == _PAGE_SCRIPT or program.module == _ENGINE_MODULE:
        return program
    if (name in _LAUNCHER_SCRIPTS or program.module == _LAUNCHER_MODULE) and "start" in program.arguments:
        return _Program(module=_LAUNCHER_MODULE, arguments=program.arguments)
    return None


def _run_by_python(command: Sequence[str]) -> _Program:
    """What the interpreter runs by its own rules about options; empty when there is no interpreter or no program."""
    name = _base_name(command[0]) if command else ""
    if name == _PAGE_SCRIPT:
        return _Program(script=command[0], arguments=tuple(command[1:]))
    rest = list(command[1:]) if _INTERPRETER.fullmatch(name) else []
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            return _Program(script=argument, arguments=tuple(rest))
        if argument == "--check-hash-based-pycs":
            del rest[:1]
        option = _OPTION_WITH_VALUE.match(argument)
        if option is None:
            continue
        value = option["value"] or (rest.pop(0) if rest else "")
        if option["letter"] in "cm":
            return _Program(module=value if option["letter"] == "m" else "", arguments=tuple(rest))
    return _Program()


def _base_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _absolute(path: str, cwd: str | None) -> str | None:
    """``path`` made absolute from ``cwd``; ``None`` when it is relative and ``cwd`` is unknown."""
    if cwd is None and not PurePath(path).is_absolute():
        return None
    return os.path.normpath(PurePath(cwd or "", path))


def _same_path(first: str, second: str) -> bool:
    return os.path.normcase(os.path.normpath(first)) == os.path.normcase(os.path.normpath(second))


def _within(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies in it, by the names alone."""
    path, folder = os.path.normcase(os.path.normpath(path)), os.path.normcase(os.path.normpath(folder))
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
