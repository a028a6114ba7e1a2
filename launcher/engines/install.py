"""Makes an engine's environment: planned first, then made beside the old one, checked, and only then taken.

Invariants: the old environment is in use until the stamp names the new one, and is removed only when no process runs
in it; an installation that was interrupted goes on where it stopped; only one at a time works on an engine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.config import Config
from launcher.engines.builds import Build, choose_build
from launcher.engines.check import TRIAL, Checked, check, drop_cuda_parts
from launcher.engines.environments import (
    STAMP,
    InstalledEngine,
    engine_dir,
    folder_bytes,
    installed,
    interpreter_in,
    lock_digest,
    read_stamp,
    remove_unused,
)
from launcher.engines.indexes import Index, package_indexes, package_links
from launcher.engines.lock import exact_build, without_build
from launcher.engines.recipes import RECIPES, Recipe, index_build
from launcher.engines.uv import Uv, without_credentials
from launcher.errors import ConfigError, EngineError, StorageError
from launcher.progress import Progress

if TYPE_CHECKING:
    from launcher.engines.gpu import Gpu

_GB = 10**9
#: What uv holds besides while it unpacks.
_SPARE_BYTES = 300_000_000


@dataclass(frozen=True)
class Plan:
    """What an installation will do.

    Attributes:
        recipe: the engine's.
        python: version or path of the interpreter to start from.
        build: of PyTorch.
        torch, torchaudio: their versions, without the build.
        environment: the folder that it will be.
        indexes, links, torch_index: where packages come from.
        size_bytes: what it will take on the disk, roughly.
        present: what is installed now.
        lock: text of the lock.
    """

    recipe: Recipe
    python: str
    build: Build
    torch: str
    torchaudio: str
    environment: Path
    indexes: tuple[Index, ...]
    links: tuple[str, ...]
    torch_index: str
    size_bytes: int
    present: InstalledEngine | None
    lock: str

    @property
    def is_done(self) -> bool:
        """Whether exactly this is installed already."""
        return self.present is not None and self.present.python == interpreter_in(self.environment)

    @property
    def uses_whole_lock(self) -> bool:
        """Whether PyTorch, too, is what the lock says, with its hashes."""
        return self.build.in_index and self.torch == self.recipe.torch

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {
            "engine": self.recipe.engine,
            "python": self.python,
            "build": self.build.name,
            "build_reason": self.build.reason,
            "torch": self.torch,
            "environment": str(self.environment),
            "indexes": [index.shown for index in self.indexes],
            "links": list(self.links),
            "torch_index": "" if self.build.in_index else f"{without_credentials(self.torch_index)}/{self.build.name}",
            "size_bytes": self.size_bytes,
            "installed": self.is_done,
            "hashes": "all packages" if self.uses_whole_lock else "all packages but PyTorch",
        }


def find_recipe(name: str) -> Recipe:
    """The recipe of an engine, however its name is spelled.

    Raises:
        ConfigError: when there is none.
    """
    plain = re.sub(r"[-_ ]", "", name.lower())
    for recipe in RECIPES.values():
        if plain == recipe.engine:
            return recipe
    names = " or ".join(sorted(RECIPES))
    if plain == "kokoro":
        raise ConfigError("Engine 'kokoro' comes with the launcher and needs no installation.", fix=f"Name {names}.")
    raise ConfigError(f"There is no engine {name!r} to install.", fix=f"Name {names}.")


def make_plan(
    config: Config,
    recipe: Recipe,
    environ: Mapping[str, str],
    gpu: Gpu | None,
    *,
    python: str = "",
    cuda: str = "auto",
    torch: str = "",
    reinstall: bool = False,
) -> Plan:
    """What would be done; changes nothing.

    Args:
        config, recipe, environ: the settings, the engine, the environment.
        gpu: the one that the engine would use.
        python: version or path; empty takes this interpreter's version where the engine runs on it.
        cuda: ``auto`` or a build's name.
        torch: another version of PyTorch than the lock's.
        reinstall: make it anew even when it is there.

    Raises:
        ConfigError: naming the option that is wrong.
    """
    start, build = _python(recipe, python), choose_build(recipe, cuda, gpu)
    lock = recipe.lock()
    version = torch or recipe.torch
    base = "\n".join((lock_digest(lock), start, build.name, version, sys.platform))
    folder = engine_dir(config, recipe.engine)
    present = installed(config, recipe.engine)
    name = f"env-{lock_digest(base)[:12]}"
    if reinstall and present is not None and present.python == interpreter_in(folder / name):
        name += "-b"  # beside the one that is in use
    return Plan(
        recipe,
        start,
        build,
        version,
        recipe.torchaudio if version == recipe.torch else version,
        folder / name,
        package_indexes(config, environ),
        package_links(config, environ),
        config.torch_index,
        recipe.size_cpu_bytes if build.name == "cpu" else recipe.size_cuda_bytes,
        present,
        lock,
    )


def _python(recipe: Recipe, wanted: str) -> str:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not wanted:
        return own if own in recipe.pythons else recipe.pythons[0]
    if os.sep in wanted or "/" in wanted:
        if not Path(wanted).is_file():
            raise ConfigError(f"--python {wanted} is no file.", fix="Name a Python program, or a version such as 3.11.")
        return wanted
    if ".".join(wanted.split(".")[:2]) not in recipe.pythons:
        known = ", ".join(sorted(recipe.pythons))
        raise ConfigError(f"{recipe.engine} does not run on Python {wanted}.", fix=f"Use one of {known}.")
    return wanted


@dataclass
class Installer:
    """Carries out a plan.

    Attributes:
        plan: what to do.
        uv: runs uv in the engine's folder.
        report: gets how far it is.
        note: gets a sentence for the person.
        free_bytes: room on the disk of a folder.
    """

    plan: Plan
    uv: Uv
    report: Callable[[Progress], None]
    note: Callable[[str], None]
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free

    def run(self) -> InstalledEngine:
        """Installs, checks and takes the environment into use.

        Raises:
            EngineError: when another one installs, a package cannot be had or the engine does not import.
            StorageError: when the disk is too small.
        """
        from filelock import FileLock, Timeout

        folder = self.plan.environment.parent
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder / "install.lock"), timeout=0)
        try:
            with lock:
                return self._run()
        except Timeout:
            name = self.plan.recipe.engine
            raise EngineError(f"{name} is being installed by another process.", fix="Wait until it is done.") from None

    def _run(self) -> InstalledEngine:
        plan = self.plan
        self._check_space()
        (plan.environment.parent / "install.log").write_text("", encoding="utf-8")
        self._make_environment()
        self._install_lock()
        if not plan.uses_whole_lock:
            self._install_torch()
        checked = self._check()
        self._stamp(checked)
        remove_unused(plan.environment.parent, keep=plan.environment)
        found = read_stamp(plan.environment.parent, plan.recipe.engine)
        if found is None:
            raise StorageError(f"{plan.environment.parent / STAMP} cannot be read back.", fix="Check that disk.")
        return found

    def _check_space(self) -> None:
        folder = self.plan.environment.parent
        needed = self.plan.size_bytes + _SPARE_BYTES
        if self.plan.environment.exists():
            needed = max(_SPARE_BYTES, needed - folder_bytes(self.plan.environment))
        free = self.free_bytes(folder)
        if free < needed:
            raise StorageError(
                f"{self.plan.recipe.engine} needs about {needed / _GB:.1f} GB on the disk of {folder}, "
                f"and {free / _GB:.1f} GB are free.",
                fix="Free some space, or set LAUNCHER_DATA_DIR to a folder on a larger disk.",
            )

    def _make_environment(self) -> None:
        plan = self.plan
        if (plan.environment / "pyvenv.cfg").is_file() and interpreter_in(plan.environment).is_file():
            return
        arguments = ["venv", "--no-project", "--allow-existing", "--python", plan.python, str(plan.environment)]
        answer = self.uv.run(arguments, stage="python")
        if answer.code != 0:
            raise EngineError(
                f"No Python {plan.python} for {plan.recipe.engine}: {answer.reason()}.",
                fix=f"Install Python {plan.recipe.pythons[0]} or name one with --python PATH; uv fetches one by itself "
                "where it may use the network (UV_PYTHON_INSTALL_MIRROR names a mirror).",
            )

    def _install_lock(self) -> None:
        plan = self.plan
        # The lock names every package there is to be: nothing else may come in.
        requirements = plan.environment / "requirements.txt"
        text = exact_build(plan.lock) if plan.uses_whole_lock else without_build(plan.lock)
        requirements.write_text(text, encoding="utf-8")
        arguments = [*self._install(), "--no-deps", "--require-hashes", "--requirement", str(requirements)]
        self._from_any(arguments, "packages", self._left_bytes())

    def _left_bytes(self) -> int:
        """What is still to be written, roughly; 0 when it cannot be said."""
        left = self.plan.size_bytes - folder_bytes(self.plan.environment)
        return left if left > self.plan.size_bytes // 10 else 0

    def _install(self) -> list[str]:
        links = [word for link in self.plan.links for word in ("--find-links", link)]
        return ["pip", "install", "--python", str(interpreter_in(self.plan.environment)), *links]

    def _from_any(self, arguments: list[str], stage: str, total_bytes: int) -> None:
        """Tries every index in turn.

        Raises:
            EngineError: when none could.
        """
        failed: list[str] = []
        for index in self.plan.indexes:
            answer = self.uv.run([*arguments, *index.arguments()], stage=stage, total_bytes=total_bytes)
            if answer.code == 0:
                return
            failed.append(f"{index.shown}: {answer.reason()}")
            if not answer.blames_network:
                break
            if index is not self.plan.indexes[-1]:
                self.note(f"{failed[-1]}. Trying the next index.")
        raise _refused(self.plan, failed, "LAUNCHER_PACKAGE_INDEX (tuna and aliyun are known)")

    def _install_torch(self) -> None:
        """PyTorch and its sound library in a build that the package index does not have."""
        plan = self.plan
        wanted = [f"torch=={plan.torch}+{plan.build.name}", f"torchaudio=={plan.torchaudio}+{plan.build.name}"]
        if self._from_links(wanted):
            return
        index = f"{plan.torch_index}/{plan.build.name}"
        arguments = [*self._install(), "--index", index, *plan.indexes[0].arguments(), *wanted]
        answer = self.uv.run(arguments, stage="torch", total_bytes=self._left_bytes())
        if answer.code == 0:
            return
        # The links may hold PyTorch alone; what the engines use of torchaudio is Python, which the index has.
        if plan.build.name == "cpu" and self._from_links(wanted[:1]):
            self._from_any([*self._install(), "--no-deps", f"torchaudio<={plan.torchaudio}"], "torch", 0)
            return
        raise _refused(plan, [f"{without_credentials(index)}: {answer.reason()}"], "LAUNCHER_TORCH_INDEX")

    def _from_links(self, wanted: list[str]) -> bool:
        if not self.plan.links:
            return False
        return self.uv.run([*self._install(), "--no-index", *wanted], stage="torch").code == 0

    def _check(self) -> Checked:
        """Imports the engine in its environment, and lets it make a sound.

        Raises:
            EngineError: when that fails.
        """
        plan, python = self.plan, interpreter_in(self.plan.environment)
        self.report(Progress("check"))
        packages = (plan.recipe.package, "torch", "torchaudio", "transformers")
        environ = dict(self.uv.environ)
        trial = TRIAL if plan.recipe.speaks_on_trial and TRIAL.is_file() else None
        checked = check(python, plan.recipe, packages, environ, trial=trial)
        if checked.error and plan.build.name == "cpu" and drop_cuda_parts(plan.environment):
            checked = check(python, plan.recipe, packages, environ, trial=trial)
        if checked.error:
            said = "does not import" if checked.step == "import" else "cannot speak"
            raise EngineError(
                f"{plan.recipe.engine} was installed and {said}: {checked.error}.",
                fix=f"The details are in {plan.environment.parent / 'install.log'}; try again with --reinstall.",
            )
        return checked

    def _stamp(self, checked: Checked) -> None:
        plan = self.plan
        stamp = {
            "folder": plan.environment.name,
            "python_version": checked.python,
            "versions": dict(checked.versions),
            "build": plan.build.name,
            "lock_digest": lock_digest(plan.lock),
            "checked": True,
            "installed_at": time.time(),
            "size_bytes": folder_bytes(plan.environment),
        }
        path = plan.environment.parent / STAMP
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
        fresh.replace(path)


def _refused(plan: Plan, failed: list[str], setting: str) -> EngineError:
    other = f" --cuda {index_build()} needs the package index alone." if setting == "LAUNCHER_TORCH_INDEX" else ""
    return EngineError(
        f"The packages of {plan.recipe.engine} could not be installed from {'; '.join(failed)}.",
        fix=f"Run the same command again to go on, or set {setting} to another source.{other} "
        f"The details are in {plan.environment.parent / 'install.log'}.",
    )
