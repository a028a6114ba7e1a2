"""Other people's apps under profiles: whole instances with the real supervisor, and stand-ins for the apps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port
from tests.servers.hub import GeneratedFile, HubServer, Repo
from tests.supervisor.runner import ROOT, Instance, alive, wait_for

APPS = Path(__file__).resolve().parent / "foreign"
SIZE = 3_000_000
REPOS = {
    "org/tts": Repo({"config.yaml": b"a: 1", "gpt.pth": GeneratedFile(SIZE, seed=5)}),
    "org/w2v": Repo({"config.json": b"{}", "model.safetensors": b"w" * 1000}),
    "org/campplus": Repo({"campplus_cn_common.bin": b"c" * 1000}),
    "org/bigvgan": Repo({"config.json": b"{}", "bigvgan_generator.pt": b"b" * 1000}),
    "spaces/org/demo": Repo({"examples/voice_01.wav": b"RIFF"}),
}
#: The catalog's names in our own profile to those of the test's hub.
NAMES = {
    "indextts-2.5": "org/tts",
    "w2v-bert": "org/w2v",
    "campplus": "org/campplus",
    "bigvgan": "org/bigvgan",
    "indextts-examples": "spaces/org/demo",
}


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer(REPOS, throttle_bytes_per_s=1_500_000) as server:
        yield server


@pytest.fixture
def instance(tmp_path: Path, hub: HubServer) -> Iterator[Instance]:
    found = Instance(tmp_path, LAUNCHER_MIRRORS=f"{hub.url};connections=1")
    yield found
    found.end()


def install(instance: Instance, name: str, changes: dict[str, str], extra: str = "") -> Path:
    """A stand-in's folder, and our own profile for it with ``changes`` and ``extra`` lines before its tables."""
    folder = instance.folder / name
    shutil.copytree(APPS / name, folder)
    text = (ROOT / "launcher" / "profiles" / f"{name}.toml").read_text()
    python, place = json.dumps(sys.executable), json.dumps(str(folder))
    text = text.replace("# directory = ", f"directory = {place}  # ").replace(
        "# python = ", f"python = {python}  # ", 1
    )
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = instance.folder / "data" / "apps" / f"{name}.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace("[environment]", f"{extra}\n[environment]", 1))
    return folder


def install_index_tts(instance: Instance, hub: HubServer) -> Path:
    changes = {f'name = "{old}"': f'name = "{new}"' for old, new in NAMES.items()}
    changes["[environment]"] = f'[environment]\nENDPOINT = "{hub.url}"'
    return install(instance, "index-tts", changes)


def install_heygem(instance: Instance) -> Path:
    return install(instance, "heygem", {'[[models]]\nname = "heygem"': ""})


def refused(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def test_index_tts_from_missing_models_to_a_stop_that_leaves_nothing(instance: Instance, hub: HubServer) -> None:
    folder = install_index_tts(instance, hub)
    process = instance.start("--app", "index-tts")
    # The port answers while the models are brought, and everybody sees how far they are.
    weights = wait_for(
        lambda: (instance.status().get("components", {}).get("weights") or {}).get("progress"), "a fetch"
    )
    assert weights["unit"]
    loading = instance.get("/", Accept="text/html")
    assert (loading.status, loading.headers["content-type"]) == (503, "text/html; charset=utf-8")
    snapshot = instance.status()
    assert set(snapshot["components"]) == {"app", "weights"} and snapshot["state"] == "starting"
    assert [stage["name"] for stage in snapshot["stages"]] == ["listen", "weights", "app"]

    snapshot = instance.wait_state("ready")
    served = instance.get("/").json
    about = snapshot["components"]["app"]["info"]
    assert (served["served_by"], served["pid"], served["cwd"]) == ("app", about["pid"], str(folder))
    assert served["argv"] == [
        *("webui.py", "--host", "127.0.0.1", "--port", str(about["port"]), "--model_dir", "checkpoints")
    ]
    assert (about["name"], about["directory"]) == ("index-tts", str(folder))
    assert all(stage["state"] == "done" for stage in snapshot["stages"])
    log = instance.log()
    assert "downloading" not in log and "INFO app progress 100 %" in log

    # A crash: the port goes on answering, the app comes back.
    sleeper = int(next(line for line in log.splitlines() if "sleeper" in line).rsplit(maxsplit=1)[1])
    with pytest.raises(ConnectionError):
        instance.get("/die")
    wait_for(lambda: instance.status()["components"]["app"]["restarts"] == 1, "the restart")
    assert not refused(instance.port)
    snapshot = instance.wait_state("ready")
    assert instance.get("/").json["pid"] == snapshot["components"]["app"]["info"]["pid"] != served["pid"]
    assert not alive(sleeper)

    stop_leaves_nothing(instance, process)

    # What is there is asked for no more: neither by us nor by the app.
    hub.forget()
    instance.start_ready("--app", "index-tts", "--offline")
    assert hub.count() == 0
    assert "weights" not in instance.status()["components"]


def stop_leaves_nothing(instance: Instance, process: subprocess.Popen[str]) -> None:
    """The whole tree is gone and the port is free."""
    component = instance.status()["components"]["app"]
    wrapper, app = component["pid"], component["info"]["pid"]
    children = [one.pid for one in psutil.Process(app).children(recursive=True)]
    assert instance.answer("stop")["state"] == "stopped"
    process.communicate(timeout=30)
    assert children and not any(alive(pid) for pid in (wrapper, app, *children))
    with socket.create_server(("127.0.0.1", instance.port)):
        pass


def test_the_stand_in_asks_where_nothing_is_prepared(tmp_path: Path, hub: HubServer) -> None:
    hub.forget()
    command = [sys.executable, str(APPS / "index-tts" / "webui.py"), "--once"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "ENDPOINT": hub.url}, check=True, timeout=60)
    assert hub.count() > 8


def test_what_ran_before_is_ended_and_only_that(instance: Instance) -> None:
    folder = install_heygem(instance)
    elsewhere = instance.folder / "elsewhere"
    shutil.copytree(folder, elsewhere)
    environment = {**instance.environment, "LAUNCHER_PORT": ""}
    command = [sys.executable, "app.py", "--host", "127.0.0.1", "--port"]
    old = subprocess.Popen([*command, str(instance.port)], cwd=folder, env=environment)
    free = str(free_port())
    other = subprocess.Popen([*command, free], cwd=elsewhere, env=environment)
    try:
        wait_for(lambda: not refused(instance.port), "the old app")
        done = instance.run("start", "--app", "heygem", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert old.wait(30) == -signal.SIGTERM
        assert other.poll() is None
        assert "without a launcher" in instance.log()
    finally:
        for process in (old, other):
            process.kill()
            process.wait()
    instance.wait_state("ready")
    seen = instance.get("/").json["environment"]
    cache = str(instance.folder / "data" / "cache" / "huggingface" / "hub")
    assert (seen["HF_HUB_CACHE"], seen["TRANSFORMERS_CACHE"]) == (cache, cache)
    assert seen["HF_ENDPOINT"].startswith("http://127.0.0.1:")
    # The supervisor dies without a word: the app does not outlive it.
    snapshot = instance.status()
    os.kill(snapshot["pid"], signal.SIGKILL)
    wait_for(lambda: not alive(snapshot["components"]["app"]["info"]["pid"]), "the app's end")


def test_why_it_cannot_start_is_a_sentence(instance: Instance) -> None:
    folder = install_heygem(instance)
    line = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    (folder / "orders.json").write_text(json.dumps({"say": ["Traceback (most recent call last):", line], "exit": 1}))
    instance.start("--app", "heygem")
    app = instance.wait_component("app", "failed")
    assert app["error"] == {
        "message": "The GPU's memory is not enough for HeyGem.",
        "fix": "End what else uses the GPU.",
    }
    assert app["restarts"] == 0 and instance.status()["state"] == "failed"
    page = instance.get("/", Accept="text/html")
    assert page.status == 503 and b"memory is not enough" in page.body and b"2.00 GiB" in page.body
    (folder / "orders.json").unlink()
    assert instance.answer("restart", "app")["ready"] is True
    assert instance.get("/").json["served_by"] == "app"
    refusal = instance.run("engine", "unload")
    assert refusal.returncode != 0
    # An end that no line explains is a crash like every other.
    os.kill(instance.status()["components"]["app"]["info"]["pid"], signal.SIGKILL)
    found = wait_for(lambda: instance.status()["components"]["app"]["error"], "the crash")
    assert "was killed by SIGKILL" in found["message"]


def test_what_is_wrong_is_said_before_anything_starts(instance: Instance, hub: HubServer) -> None:
    install_index_tts(instance, hub)
    offline = instance.run("start", "--app", "index-tts", "--offline")
    assert offline.returncode == 10
    assert "org/tts" in json.loads(offline.stdout)["error"]["message"]
    profile = instance.folder / "data" / "apps" / "index-tts.toml"
    profile.write_text(profile.read_text().replace('health = "/"', "heath = 1"))
    for arguments, words in (
        (["--app", "index-tts"], "index-tts.toml: heath is no key"),
        (["--app", "nothing"], "There is no app 'nothing'"),
        (["--app", "heygem"], "has no folder yet"),
        (["--app", "heygem", "--app-dir", str(instance.folder)], "no environment of its own"),
    ):
        done = instance.run("start", *arguments)
        assert done.returncode == 2
        assert words in json.loads(done.stdout)["error"]["message"]
    assert not instance.log()
