"""Installing an engine's environment: from a real index of small wheels, with the real uv."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread

import pytest

from launcher.config import Config, load
from launcher.engines.check import TRIAL, check
from launcher.engines.environments import engine_dir, installed, processes_in, remove
from launcher.engines.install import Installer, Plan, make_plan
from launcher.engines.uv import Uv, environment, find_uv
from launcher.errors import ConfigError, EngineError, StorageError
from launcher.progress import Progress
from tests.engines.wheels import PackageIndex, SmallRecipe, lock_text, make_recipe, make_wheel, serving

pytestmark = pytest.mark.skipif(os.name == "nt", reason="looks at the folders of POSIX environments")


@dataclass
class Bench:
    """A data folder, an engine of small packages and the index that has them."""

    folder: Path
    recipe: SmallRecipe
    index: PackageIndex
    settings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    shown: list[Progress] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        """Nothing of the person who runs the tests reaches uv."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "UV_HTTP_RETRIES": "0"}

    @property
    def config(self) -> Config:
        return load(
            {"LAUNCHER_DATA_DIR": str(self.folder / "data"), "LAUNCHER_PACKAGE_INDEX": self.index.url, **self.settings},
            self.folder / "none.env",
            {},
        )

    def plan(self, *, cuda: str = "cpu", torch: str = "", reinstall: bool = False) -> Plan:
        return make_plan(
            self.config,
            self.recipe,
            self.environ,
            None,
            python=sys.executable,
            cuda=cuda,
            torch=torch,
            reinstall=reinstall,
        )

    def installer(self, plan: Plan) -> Installer:
        folder = plan.environment.parent
        uv = Uv(find_uv(), environment(self.config, self.environ), folder, self.shown.append)
        return Installer(plan, uv, self.shown.append, self.notes.append)

    def install(self, **options: bool | str) -> Path:
        return self.installer(self.plan(**options)).run().python  # type: ignore[arg-type]

    @property
    def log(self) -> str:
        return (engine_dir(self.config, "small") / "install.log").read_text(encoding="utf-8")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "none.env").write_text("")
    wheels = tmp_path / "wheels"
    recipe = make_recipe(wheels)
    with serving(PackageIndex(wheels)) as index:
        torch = tmp_path / "torch" / "cpu"
        code = "class version:\n    cuda = None\nclass cuda:\n    is_available = staticmethod(lambda: False)\n"
        make_wheel(torch, "torch", "2.10.0+cpu", {"torch/__init__.py": code})
        make_wheel(torch, "torchaudio", "2.10.0+cpu", {"torchaudio/__init__.py": ""})
        yield Bench(tmp_path, recipe, index, {"LAUNCHER_PACKAGE_LINKS": str(torch)})


def _runs(python: Path, code: str) -> str:
    return subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_an_engine_is_installed_from_lock_and_links(bench: Bench) -> None:
    python = bench.install()
    found = installed(bench.config, "small")
    assert found is not None
    assert found.python == python and found.checked and found.build == "cpu"
    assert found.versions == {"small-engine": "1.0", "torch": "2.10.0+cpu", "torchaudio": "2.10.0+cpu"}
    assert _runs(python, "import small_engine; print(small_engine.Speaker.__name__)") == "Speaker"
    assert {progress.stage for progress in bench.shown} >= {"python", "packages", "torch", "check"}
    assert (bench.folder / "data" / "cache" / "uv").is_dir(), "uv's cache lies where links into the environment work"


def test_the_whole_lock_with_torch_when_the_index_has_its_build(bench: Bench) -> None:
    plan = replace(bench.plan(), build=replace(bench.plan().build, name="cpu"))
    whole = replace(plan, build=_in_index(plan))
    assert whole.uses_whole_lock
    found = bench.installer(whole).run()
    assert found.versions["torch"] == "2.10.0"
    assert "--require-hashes" in bench.log and "--no-index" not in bench.log


def _in_index(plan: Plan) -> object:
    from launcher.engines.recipes import index_build

    return replace(plan.build, name=index_build())


def test_an_index_that_fails_is_followed_by_the_next(bench: Bench) -> None:
    with serving(PackageIndex(bench.folder / "wheels", status=503)) as broken:
        good = bench.index.url
        bench.settings["LAUNCHER_PACKAGE_INDEX"] = f"{broken.url},{good}"
        bench.install()
        assert broken.asked and bench.index.asked
    assert any(broken.url in note and "Trying the next" in note for note in bench.notes)
    assert installed(bench.config, "small") is not None


def test_no_index_at_all_is_one_sentence(bench: Bench) -> None:
    bench.index.status = 503
    with pytest.raises(EngineError) as failure:
        bench.install()
    assert bench.index.url in failure.value.message
    assert "LAUNCHER_PACKAGE_INDEX" in failure.value.fix and "install.log" in failure.value.fix
    assert installed(bench.config, "small") is None


def test_a_package_that_was_changed_is_refused(bench: Bench) -> None:
    bench.index.spoiled.add("h11")
    with pytest.raises(EngineError, match=r"(?i)hash"):
        bench.install()
    assert installed(bench.config, "small") is None


def test_a_password_in_an_index_is_nowhere_to_be_read(bench: Bench) -> None:
    bench.settings["LAUNCHER_PACKAGE_INDEX"] = bench.index.url.replace("://", "://me:geheim@")
    bench.install()
    assert bench.index.url.partition("://")[2] in bench.log
    assert "geheim" not in bench.log + "".join(bench.notes) + str(bench.plan().to_json())


def test_an_interrupted_installation_goes_on(bench: Bench) -> None:
    bench.index.held.add("uvicorn")
    plan = bench.plan()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            bench.installer(plan).run()
        except EngineError as error:
            failures.append(error)

    thread = Thread(target=work)
    thread.start()
    assert bench.index.waiting.wait(60)
    for pid, _ in _uvs(plan):
        os.kill(pid, 9)
    bench.index.release.set()
    thread.join(60)
    assert failures and installed(bench.config, "small") is None
    assert plan.environment.is_dir(), "what was made stays for the next try"
    bench.index.held.clear()
    marker = plan.environment / "kept"
    marker.write_text("")
    bench.install()
    assert installed(bench.config, "small") is not None and marker.exists()


def _uvs(plan: Plan) -> Iterator[tuple[int, str]]:
    import psutil

    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words and Path(words[0]).name == "uv" and any(str(plan.environment) in word for word in words):
            yield process.pid, " ".join(words)


def test_an_engine_that_does_not_import_leaves_the_old_one(bench: Bench) -> None:
    old = bench.install()
    bench.recipe = make_recipe(bench.folder / "wheels", engine_code="raise RuntimeError('no voice')\n", version="2.0")
    with pytest.raises(EngineError, match="no voice"):
        bench.install()
    found = installed(bench.config, "small")
    assert found is not None and found.python == old and old.exists()


def test_a_new_one_takes_the_place_of_an_old_one_that_nobody_uses(bench: Bench) -> None:
    old = bench.install()
    bench.recipe = make_recipe(bench.folder / "wheels", version="2.0")
    new = bench.install()
    assert new != old and not old.exists()
    assert _runs(new, "from importlib.metadata import version; print(version('small-engine'))") == "2.0"


def test_an_old_one_that_runs_stays_until_it_has_ended(bench: Bench) -> None:
    old = bench.install()
    running = subprocess.Popen([str(old), "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with pytest.raises(EngineError, match=str(running.pid)):
            remove(bench.config, "small")
        again = bench.install(reinstall=True)
        assert again != old and old.exists()
        assert [pid for pid, _ in processes_in(old.parent.parent)] == [running.pid]
    finally:
        running.communicate(b"\n")
    bench.recipe = make_recipe(bench.folder / "wheels", version="3.0")
    bench.install()
    assert not old.exists() and not again.exists()
    assert remove(bench.config, "small") > 0
    assert installed(bench.config, "small") is None and not engine_dir(bench.config, "small").exists()


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(bench: Bench) -> None:
    installer = bench.installer(bench.plan())
    installer.free_bytes = lambda _folder: 1000
    with pytest.raises(StorageError, match="GB are free"):
        installer.run()
    assert not bench.index.asked


def test_one_installation_at_a_time(bench: Bench) -> None:
    from filelock import FileLock

    folder = engine_dir(bench.config, "small")
    folder.mkdir(parents=True)
    with FileLock(str(folder / "install.lock")), pytest.raises(EngineError, match="another process"):
        bench.install()


def test_torchs_build_from_an_index_of_its_own(bench: Bench) -> None:
    torch = bench.folder / "torch" / "cpu"
    with serving(PackageIndex(torch)) as builds:
        bench.settings |= {"LAUNCHER_PACKAGE_LINKS": "", "LAUNCHER_TORCH_INDEX": builds.url}
        bench.install()
        assert any(path.startswith("/simple/cpu/torch") for path in builds.asked)
    found = installed(bench.config, "small")
    assert found is not None and found.versions["torch"] == "2.10.0+cpu"


def test_torch_that_nobody_has(bench: Bench) -> None:
    with serving(PackageIndex(bench.folder / "torch" / "cpu", status=503)) as builds:
        bench.settings |= {"LAUNCHER_PACKAGE_LINKS": "", "LAUNCHER_TORCH_INDEX": builds.url}
        with pytest.raises(EngineError, match="503") as failure:
            bench.install(cuda="cu126")
    assert "LAUNCHER_TORCH_INDEX" in failure.value.fix and "--cuda" in failure.value.fix


def test_parts_that_want_cuda_go_from_an_environment_without(bench: Bench) -> None:
    """The package index has torchaudio for CUDA alone; its compiled parts fail beside a PyTorch for the processor."""
    wheels, links = bench.folder / "wheels", bench.folder / "torch" / "cpu"
    (links / "torchaudio-2.10.0+cpu-py3-none-any.whl").unlink()
    code = "from pathlib import Path\nif Path(__file__).with_name('lib').exists() and list(Path(__file__).parent.glob("
    code += "'lib/*.so')):\n    raise OSError('libc10_cuda.so: cannot open shared object file')\n"
    make_wheel(wheels, "torchaudio", "2.10.0", {"torchaudio/__init__.py": code, "torchaudio/lib/_x.so": "binary"})
    engine = "import torchaudio\nclass Speaker:\n    pass\n"
    bench.recipe = make_recipe(bench.folder / "other", engine_code=engine, version="1.1")
    for wheel in (bench.folder / "other").glob("small_engine-*.whl"):
        wheel.rename(wheels / wheel.name)
    python = bench.install()
    assert _runs(python, "import small_engine; print('speaks')") == "speaks"


def test_pythons_and_builds_that_do_not_fit(bench: Bench) -> None:
    environ = bench.environ
    with pytest.raises(ConfigError, match=r"Python 2\.7"):
        make_plan(bench.config, bench.recipe, environ, None, python="2.7")
    with pytest.raises(ConfigError, match="is no file"):
        make_plan(bench.config, bench.recipe, environ, None, python="/nowhere/python")
    with pytest.raises(ConfigError, match="cu118"):
        make_plan(bench.config, bench.recipe, environ, None, cuda="cu118")


def test_a_lock_of_wheels_is_read_by_us_as_by_uv(bench: Bench) -> None:
    from launcher.engines.lock import versions

    assert versions(lock_text(sorted((bench.folder / "wheels").glob("h11-*"))))["h11"] == ("1.0",)


@pytest.mark.parametrize(
    ("code", "step", "error"), [("", "speak", ""), ("raise OSError('mute')", "speak", "OSError: mute")]
)
def test_an_environment_is_tried_with_a_sound(bench: Bench, code: str, step: str, error: str) -> None:
    python = bench.install()
    trial = bench.folder / "trial.py"
    trial.write_text(f"import small_engine\ndef main(engine):\n    assert engine == 'small'\n    {code or 'pass'}\n")
    checked = check(python, bench.recipe, ["small-engine"], bench.environ, trial=trial)
    assert (checked.step, checked.error) == (step, error)
    assert TRIAL.is_file()
