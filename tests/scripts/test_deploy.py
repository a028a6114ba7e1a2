"""The files in scripts/deploy/: their commands are run, against a hub of our own; their names agree with each other."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from launcher.config.keys import KEYS_BY_NAME
from tests.servers.hub import Content, GeneratedFile, HubServer, Repo

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "scripts" / "deploy"
NAME = "org/model"
FILES: dict[str, Content] = {"config.json": b"{}", "model.bin": GeneratedFile(400_000, seed=5)}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="these files are for Linux machines and containers")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def run(command: list[str], cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs a command where `tts-launcher` is this clone's."""
    programs = cwd / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "tts-launcher").write_text(f'#!/bin/sh\nexec {sys.executable} -m launcher "$@"\n')
    (programs / "tts-launcher").chmod(0o755)
    base = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    base.pop("TORCHINDUCTOR_CACHE_DIR", None)  # torch sets it for itself when another test imports it
    base |= {"PYTHONPATH": str(ROOT), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(cwd)}
    return subprocess.run(
        command, cwd=cwd, env=base | environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_baked_weights_are_lent_to_a_container(tmp_path: Path) -> None:
    baked, data = tmp_path / "models", tmp_path / "volume"
    with HubServer({NAME: Repo(FILES)}) as hub:
        done = run([str(DEPLOY / "bake"), str(baked), NAME], tmp_path, HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
        count = hub.count("GET", "model.bin")
        again = run([str(DEPLOY / "bake"), str(baked), NAME], tmp_path, HF_ENDPOINT=hub.url)
        assert again.returncode == 0 and hub.count("GET", "model.bin") == count
    environ = {"BAKED_DIR": str(baked), "LAUNCHER_DATA_DIR": str(data), "HF_ENDPOINT": "http://127.0.0.1:9"}
    entrypoint = str(DEPLOY / "entrypoint")
    found = run([entrypoint, "fetch", NAME, "--offline"], tmp_path, **environ)
    assert found.returncode == 0 and "complete" in found.stdout, found.stderr
    copied = sum(path.stat().st_size for path in data.rglob("*") if path.is_file() and not path.is_symlink())
    assert copied < 100_000, "the weights stay in the image"
    # The second start of the same volume, and a version without baked weights.
    assert run([entrypoint, "fetch", NAME, "--offline"], tmp_path, **environ).returncode == 0
    plain = run([entrypoint, "--version"], tmp_path, **{**environ, "BAKED_DIR": str(tmp_path / "none")})
    assert plain.returncode == 0 and plain.stdout.strip()


def test_a_dangerous_model_is_not_baked(tmp_path: Path) -> None:
    with HubServer({NAME: Repo({"weights.pth": pickle.dumps(Trap())})}) as hub:
        done = run([str(DEPLOY / "bake"), str(tmp_path / "models"), NAME], tmp_path, HF_ENDPOINT=hub.url)
    assert done.returncode != 0 and "dangerous" in done.stdout


def steps() -> Mapping[str, str]:
    (job,) = read("prefetch.yml")["jobs"].values()
    return {step["name"]: step["run"] for step in job["steps"] if "run" in step}


def test_the_workflow_does_what_it_says(tmp_path: Path) -> None:
    names = list(steps())
    assert names == ["install", "week", "doctor", "fetch", "verify", "audit", "bundle"]
    environ = {
        "MODEL": NAME,
        "LAUNCHER_DATA_DIR": str(tmp_path / "tts-data"),
        "GITHUB_ENV": str(tmp_path / "environment"),
        "LAUNCHER_PORT": "auto",
    }
    with HubServer({NAME: Repo(FILES)}) as hub:
        for name in names[1:]:
            script = steps()[name]
            if name == "doctor":
                script = script.replace(
                    "|| [ $? -eq 1 ]", "|| [ $? -le 2 ]"
                )  # the machine of a test may lack something
            if name == "bundle":
                script += " --no-wheels"
            done = run(["bash", "-e", "-o", "pipefail", "-c", script], tmp_path, HF_ENDPOINT=hub.url, **environ)
            assert done.returncode == 0, f"{name}: {done.stderr}"
    assert re.fullmatch(r"WEEK=\d{4}-\d\d\n", (tmp_path / "environment").read_text())
    installed = run(
        ["tts-launcher", "bundle", "install", "model.bundle"], tmp_path, LAUNCHER_DATA_DIR=str(tmp_path / "elsewhere")
    )
    assert installed.returncode == 0, installed.stderr
    # What the cache step keeps is where the models are.
    (job,) = read("prefetch.yml")["jobs"].values()
    (kept,) = [step["with"]["path"] for step in job["steps"] if "cache@" in step.get("uses", "")]
    assert list((tmp_path / kept).rglob("model.bin"))


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines]


def test_the_image_copies_what_there_is() -> None:
    ignored = {line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines()}
    copied = [words.split()[:-1] for name, words in instructions() if name == "COPY" and "--from" not in words]
    sources = [source for words in copied for source in words]
    assert {"launcher", "webui", "pyproject.toml", "scripts/deploy/entrypoint"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored & {source, *map(str, Path(source).parents)}, f"{source} is left out by .dockerignore"
    for name in ("bake", "entrypoint"):
        assert os.access(DEPLOY / name, os.X_OK)
        assert subprocess.run(["sh", "-n", str(DEPLOY / name)], check=False).returncode == 0


def test_settings_and_arguments_have_their_names() -> None:
    arguments = {words.partition("=")[0] for name, words in instructions() if name == "ARG"}
    compose = read("compose.yaml")
    for service in compose["services"].values():
        assert set(service["build"]["args"]) <= arguments
        assert set(service["environment"]) <= set(KEYS_BY_NAME)
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        volumes = {volume.partition(":")[0] for volume in service["volumes"]}
        assert volumes <= set(compose["volumes"])
        assert ("VOLUME", service["volumes"][0].partition(":")[2]) in instructions()
        assert service["ports"][0].rpartition(":")[2] == "7860" and ("EXPOSE", "7860") in instructions()
    settings = dict(
        word.split("=", 1)
        for name, words in instructions()
        if name == "ENV"
        for word in words.split()
        if "LAUNCHER_" in word
    )
    assert settings and set(settings) <= set(KEYS_BY_NAME)
    users = [words for name, words in instructions() if name == "USER"]
    assert users and users[-1].isdigit(), "nothing runs as root"


@pytest.mark.parametrize(
    ("schema", "name"), [("vendor.github-workflows", "prefetch.yml"), ("vendor.compose-spec", "compose.yaml")]
)
def test_schemas_agree(schema: str, name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(DEPLOY / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_pinned_path_lies_on_the_volume(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = run(["tts-launcher", "cache", "where", "--json"], tmp_path, LAUNCHER_DATA_DIR=str(data))
    places = {place["name"]: Path(place["path"]) for place in json.loads(done.stdout)["places"]}
    assert len(places) > 10
    outside = {name for name, path in places.items() if data not in (path, *path.parents)}
    assert outside <= {"sockets"}  # in /tmp when the data folder's name is long; /data is short


def test_what_is_written_lies_on_the_volume() -> None:
    for service in read("compose.yaml")["services"].values():
        assert service["read_only"] is True and service["tmpfs"] == ["/tmp"] and service["cap_drop"] == ["ALL"]
    gpu = read("compose.yaml")["services"]["gpu"]["deploy"]["resources"]["reservations"]["devices"][0]
    assert gpu["driver"] == "nvidia" and gpu["capabilities"] == ["gpu"]
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
    kinds = {one["kind"]: one for one in documents}
    assert set(kinds) == {"PersistentVolumeClaim", "Deployment", "Service"}
    pod = kinds["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert pod["metadata"]["labels"].items() >= kinds["Service"]["spec"]["selector"].items()
    assert pod["metadata"]["labels"].items() >= kinds["Deployment"]["spec"]["selector"]["matchLabels"].items()
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"data": "/data", "tmp": "/tmp"} and container["securityContext"]["readOnlyRootFilesystem"]
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == set(mounted)
    claim = kinds["PersistentVolumeClaim"]["metadata"]["name"]
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim
    users = [words for name, words in instructions() if name == "USER"]
    assert (
        str(pod["spec"]["securityContext"]["runAsUser"]) == users[-1] and pod["spec"]["securityContext"]["runAsNonRoot"]
    )
    names = {one["name"] for one in container["env"]}
    assert names <= set(KEYS_BY_NAME)
    probed = container["readinessProbe"]["exec"]["command"][0]
    assert any(words.endswith(f"/{probed}") for name, words in instructions() if name == "COPY")


def test_kubernetes_knows_every_field_of_the_manifest() -> None:
    for document in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")):
        for version in ("1.30", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(document, version, strict=True)
    wrong = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text().replace("claimName", "claim"))
    with pytest.raises(kubernetes_validate.ValidationError):
        for document in wrong:
            kubernetes_validate.validate(document, "1.30", strict=True)


def test_the_probe_says_whether_it_is_ready(tmp_path: Path) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == "Bearer secret" and self.path == "/readyz"
            self.send_response(200 if known else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = {"LAUNCHER_PORT": str(server.server_address[1]), "LAUNCHER_TOKEN": "secret"}
        assert run([str(DEPLOY / "ready")], tmp_path, **settings).returncode == 0
        assert run([str(DEPLOY / "ready")], tmp_path, **{**settings, "LAUNCHER_TOKEN": "wrong"}).returncode == 1
        server.shutdown()
    assert run([str(DEPLOY / "ready")], tmp_path, **settings).returncode == 1
