"""Where things are kept: paths, the children's environment, and what it says about folders that cannot be used."""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from launcher.cache.folders import check_writable, make_owned_folder, make_private_folder, write_probe
from launcher.cache.layout import (
    MAX_RUNTIME_DIR_BYTES,
    OWN_FOLDERS,
    cache_dir,
    child_environment,
    instance_paths,
    pins,
    prepare,
)
from launcher.config import Config, load
from launcher.config.keys import KEYS
from launcher.errors import StorageError

ROOT = Path(__file__).parents[2]
PINNED = {
    "HF_HOME": "huggingface",
    "HF_HUB_CACHE": "huggingface/hub",
    "HF_XET_CACHE": "huggingface/xet",
    "TORCH_HOME": "torch",
    "TORCH_EXTENSIONS_DIR": "torch-extensions",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "torch-inductor",
    "CUDA_CACHE_PATH": "cuda",
    "MODELSCOPE_CACHE": "modelscope",
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "NLTK_DATA": "nltk",
}
TOKEN = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config_of(environ: Mapping[str, str] | None = None) -> Config:
    return load({"LAUNCHER_DATA_DIR": "data", **(environ or {})}, None, {})


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_cache_is_pinned_below_the_data_folder(tmp_path: Path) -> None:
    environment = child_environment(config_of(), {})
    cache = tmp_path / "data" / "cache"
    assert {name: environment[name] for name in PINNED} == {name: str(cache / path) for name, path in PINNED.items()}
    temp_dir = tmp_path / "data" / "instances" / "default" / "tmp"
    assert environment["TMPDIR"] == str(temp_dir)
    assert environment["GRADIO_TEMP_DIR"] == str(temp_dir / "gradio")
    assert environment["HF_HUB_DISABLE_XET"] == environment["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"
    assert environment["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert environment["DO_NOT_TRACK"] == environment["PYTHONUNBUFFERED"] == "1"
    assert not (tmp_path / "data").exists()


def test_every_pin_is_a_setting_and_says_where_it_is() -> None:
    notes = {key.name: key.default_note for key in KEYS}
    for pin in pins(config_of()):
        expected = notes[pin.name].replace("DATA", str(config_of().data_dir)).replace("INSTANCE", "default")
        assert pin.path == expected and pin.source == "pinned"


def test_what_the_user_set_is_kept() -> None:
    environ = {"TORCH_HOME": "/t", "HF_HUB_DISABLE_XET": "0", "DO_NOT_TRACK": "0", "GRADIO_TEMP_DIR": "/g"}
    environment = child_environment(config_of(environ), environ)
    assert {name: environment[name] for name in environ} == environ
    assert {pin.name for pin in pins(config_of(environ)) if pin.source == "user"} == {"TORCH_HOME", "GRADIO_TEMP_DIR"}


def test_the_hubs_cache_follows_the_users_hf_home() -> None:
    environment = child_environment(config_of({"HF_HOME": "/hf"}), {})
    assert (environment["HF_HOME"], environment["HF_HUB_CACHE"]) == ("/hf", "/hf/hub")
    assert environment["HF_XET_CACHE"] == "/hf/xet"
    both = child_environment(config_of({"HF_HOME": "/hf", "HF_HUB_CACHE": "/hub"}), {})
    assert (both["HF_HUB_CACHE"], both["HF_XET_CACHE"]) == ("/hub", "/hf/xet")


def test_dotenv_reaches_the_children_and_the_environment_wins() -> None:
    Path(".env").write_text("OMP_NUM_THREADS=2\nHF_ENDPOINT=https://hf-mirror.com/\nHF_HOME=hf\nPATH=/evil\n")
    base = {"PATH": "/usr/bin", "HF_HOME": ""}
    environment = child_environment(config_of(base), base)
    assert environment["OMP_NUM_THREADS"] == "2" and environment["PATH"] == "/usr/bin"
    assert environment["HF_ENDPOINT"] == "https://hf-mirror.com"
    assert environment["HF_HOME"] == str(Path.cwd() / "hf")


def test_no_setting_of_ours_and_no_secret_reaches_a_child() -> None:
    environ = {"LAUNCHER_TOKEN": TOKEN, "LAUNCHER_INSTANCE_MARK": "default:1", "HF_ENDPOINT": "", "HOME": "/h"}
    environment = child_environment(config_of(environ), environ)
    assert [name for name in environment if name.startswith("LAUNCHER_")] == ["LAUNCHER_INSTANCE_MARK"]
    assert TOKEN not in environment.values()
    assert "HF_ENDPOINT" not in environment and environment["HOME"] == "/h"


def test_an_empty_list_of_gpus_stays_empty() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": ""}
    assert child_environment(config_of(environ), environ)["CUDA_VISIBLE_DEVICES"] == ""


def test_this_machine_is_reached_without_the_proxy() -> None:
    environ = {"https_proxy": "http://proxy:3128", "NO_PROXY": ".lan, 127.0.0.1"}
    environment = child_environment(config_of(environ), environ)
    assert environment["no_proxy"] == environment["NO_PROXY"] == ".lan,127.0.0.1,localhost,::1"
    assert "NO_PROXY" not in child_environment(config_of(), {})


def test_prepare_makes_every_folder_and_closes_the_private_ones() -> None:
    config = config_of()
    assert prepare(config, mountinfo="") == ()
    paths = instance_paths(config)
    environment = child_environment(config, {})
    assert all(Path(environment[name]).is_dir() for name in PINNED)
    assert all((cache_dir(config) / name).is_dir() for name in OWN_FOLDERS)
    for private in (paths.temp_dir, paths.runtime_dir, Path(environment["GRADIO_TEMP_DIR"])):
        assert mode_of(private) == 0o700
    paths.temp_dir.chmod(0o755)
    (paths.temp_dir / "kept.wav").write_bytes(b"x")
    assert prepare(config, mountinfo="") == ()
    assert mode_of(paths.temp_dir) == 0o700 and (paths.temp_dir / "kept.wav").exists()
    assert [path for path in config.data_dir.rglob("tmp*") if path.is_file()] == []


def test_python_in_a_child_uses_the_private_folder() -> None:
    config = config_of()
    prepare(config)
    result = subprocess.run(
        [sys.executable, "-c", "import tempfile; print(tempfile.mkdtemp())"],
        env=child_environment(config, os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert Path(result.stdout.strip()).parent == instance_paths(config).temp_dir


def refusal(config: Config) -> str:
    with pytest.raises(StorageError) as caught:
        prepare(config, mountinfo="")
    assert caught.value.exit_code == 5 and caught.value.fix
    return str(caught.value)


def test_a_file_in_place_of_a_folder() -> None:
    Path("data").write_text("")
    assert refusal(config_of()).startswith(f"LAUNCHER_DATA_DIR: {Path.cwd() / 'data'} is not a folder.")


def test_a_folder_below_a_file() -> None:
    Path("file").write_text("")
    assert "lies below a file" in refusal(config_of({"LAUNCHER_DATA_DIR": "file/data"}))


def test_the_users_own_cache_is_named_by_its_variable() -> None:
    Path("hub").write_text("")
    said = refusal(config_of({"HF_HOME": str(Path("hub").absolute())}))
    assert said.startswith("HF_HOME: ") and "set HF_HOME to another folder" in said


def test_links_in_a_circle() -> None:
    Path("data").symlink_to("data")
    said = refusal(config_of({"LAUNCHER_DATA_DIR": "data/below"}))
    assert "symbolic links in a circle" in said
    assert "symbolic links in a circle" in refusal(config_of())


def test_a_link_to_nowhere() -> None:
    Path("data").symlink_to("unmounted")
    assert "leads to a folder that is not there" in refusal(config_of())


def test_a_private_folder_is_never_a_link() -> None:
    config = config_of()
    temp_dir = instance_paths(config).temp_dir
    temp_dir.parent.mkdir(parents=True)
    Path("elsewhere").mkdir()
    temp_dir.symlink_to(Path("elsewhere").absolute())
    assert "is a symbolic link" in refusal(config)


def test_a_full_disk_is_found_by_writing(tmp_path: Path) -> None:
    def write_to_full_device(_folder: Path) -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")

    with pytest.raises(StorageError, match=r"HF_HOME: .* lies on a full disk\. Free some space"):
        check_writable(tmp_path, "HF_HOME", probe=write_to_full_device)


def test_a_nearly_full_disk_is_found_by_asking(tmp_path: Path) -> None:
    check_writable(tmp_path, "HF_HOME", free_bytes=lambda _path: 1_000_000)
    with pytest.raises(StorageError, match="lies on a full disk"):
        check_writable(tmp_path, "HF_HOME", free_bytes=lambda _path: 999_999)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EROFS, "read-only file system"), (errno.EDQUOT, "disk quota"), (errno.EIO, "Input/output error")],
)
def test_what_the_system_says_becomes_a_sentence(tmp_path: Path, number: int, words: str) -> None:
    def refuse(_folder: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(StorageError, match=words):
        check_writable(tmp_path, "HF_HOME", probe=refuse)


def test_the_write_test_leaves_nothing(tmp_path: Path) -> None:
    write_probe(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_named() -> None:
    """Root may write everywhere, so a process of its own gives that right away first."""
    program = (
        "import ipaddress, os, shutil; from launcher.config import load; from launcher.cache.layout import prepare\n"
        "from launcher.errors import StorageError\n"
        "os.getuid() or os.seteuid(65534)\n"
        "for folder in ('made', 'made/below'):\n"
        "    config = load({}, None, {'LAUNCHER_DATA_DIR': folder})\n"
        "    try: prepare(config, mountinfo='')\n"
        "    except StorageError as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to everybody else
        Path(folder).chmod(0o755)
        (Path(folder) / "made").mkdir(mode=0o555)
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("is not writable. Make it writable for you, or set LAUNCHER_DATA_DIR") == 2


def test_sockets_get_a_short_path_however_long_the_data_folder_is(tmp_path: Path) -> None:
    config = config_of({"LAUNCHER_DATA_DIR": "/".join(["long-folder-name"] * 12)})
    runtime_dir = instance_paths(config).runtime_dir
    try:
        prepare(config, mountinfo="")
        assert len(os.fsencode(runtime_dir)) <= MAX_RUNTIME_DIR_BYTES
        assert mode_of(runtime_dir) == 0o700 and runtime_dir.stat().st_uid == os.getuid()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(runtime_dir / "control.sock"))
        other = instance_paths((config.data_dir, "other")).runtime_dir
        assert other != runtime_dir and other.parent == runtime_dir.parent
        runtime_dir.chmod(0o777)
        prepare(config, mountinfo="")
        assert mode_of(runtime_dir) == 0o700
    finally:
        (runtime_dir / "control.sock").unlink(missing_ok=True)
        runtime_dir.rmdir()


def test_a_short_data_folder_holds_its_sockets() -> None:
    assert instance_paths((Path("/d"), "default")).runtime_dir == Path("/d/instances/default/run")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_never_used(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir(mode=0o700)
    os.chown(taken, 65534, 65534)
    with pytest.raises(StorageError, match="belongs to somebody else"):
        make_owned_folder(taken, "LAUNCHER_DATA_DIR")


def test_a_link_laid_by_somebody_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(StorageError, match="is no folder"):
        make_owned_folder(tmp_path / "link", "LAUNCHER_DATA_DIR")
    with pytest.raises(StorageError, match="symbolic link"):
        make_private_folder(tmp_path / "link", "LAUNCHER_DATA_DIR")
    assert mode_of(tmp_path / "target") == 0o755


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="limits the size of files")
def test_who_is_killed_while_it_tries_to_write_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from launcher.cache.folders import write_probe\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "write_probe(Path(sys.argv[1]))\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=root, capture_output=True, check=False)
    assert done.returncode == -signal.SIGXFSZ, done.stderr
    assert not list(tmp_path.iterdir())
