"""``mirror`` as people run it: tables, JSON, exit codes, and secrets that stay hidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.hub.placement import RepoFolder
from launcher.hub.receipts import Receipt, Received, write_receipt
from tests.servers.hub import Faults, GeneratedFile, HubServer, Repo

ROOT = Path(__file__).parents[2]
NAME = "org/model"
REPO = Repo({"config.json": b"{}", "model.bin": GeneratedFile(600_000, seed=2)})


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({NAME: REPO}) as server:
        yield server


@pytest.fixture
def other() -> Iterator[HubServer]:
    with HubServer({NAME: REPO}, host="127.0.0.2") as server:
        yield server


def mirror(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    base = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    base |= {"PYTHONPATH": str(ROOT), "LAUNCHER_DATA_DIR": str(cwd / "data"), "PYTHONUTF8": "1", **environ}
    command = [sys.executable, "-m", "launcher", "mirror", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=base, capture_output=True, text=True, encoding="utf-8", timeout=90, check=False
    )


def value(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_built_in_ones_are_listed(tmp_path: Path) -> None:
    done = mirror("ls", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0][:2] == ["URL", "KIND"]
    assert [row[0] for row in rows[1:]] == [
        "https://huggingface.co",
        "https://hf-mirror.com",
        "https://www.modelscope.cn",
    ]
    data = value(mirror("ls", "--json", cwd=tmp_path))
    assert [one["kind"] for one in data["mirrors"]] == ["hub", "hub", "modelscope"]
    assert data["file"] == str(tmp_path / "data" / "mirrors.toml")


def test_a_test_measures_ranks_and_is_remembered(tmp_path: Path, hub: HubServer, other: HubServer) -> None:
    other.set_faults(Faults(stale=True))
    listed = f"{other.url},{hub.url};trusted=yes"
    done = mirror("test", NAME, cwd=tmp_path, LAUNCHER_MIRRORS=listed)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith(("+ ", "x "))]
    assert hub.url in rows[0] and rows[0].endswith("usable")
    assert other.url in rows[1] and "holds commit" in rows[1] and REPO.commit[:8] in rows[0]
    speeds = {
        one["url"]: one["bytes_per_s"]
        for one in value(mirror("ls", "--json", cwd=tmp_path, LAUNCHER_MIRRORS=listed))["mirrors"]
    }
    assert speeds[hub.url] > 0 and speeds[other.url] is None

    data = value(mirror("test", f"{NAME}@{REPO.commit}", "--json", cwd=tmp_path, LAUNCHER_MIRRORS=listed))
    assert data["revision"] == REPO.commit and [one["usable"] for one in data["mirrors"]] == [True, False]


def test_nobody_can_serve(tmp_path: Path, hub: HubServer) -> None:
    done = mirror("test", "org/absent", "--timeout", "2", cwd=tmp_path, HF_ENDPOINT=hub.url)
    assert done.returncode == 10 and "404" in done.stdout
    assert "Traceback" not in done.stderr
    named = value(mirror("test", "bigvgan", "--json", cwd=tmp_path, HF_ENDPOINT=hub.url))
    assert named["repo"] == "nvidia/bigvgan_v2_22khz_80band_256x"
    bad = mirror("test", "not a repo", cwd=tmp_path, HF_ENDPOINT=hub.url)
    assert bad.returncode == 2 and "'not a repo'" in bad.stderr


def test_add_and_remove(tmp_path: Path, hub: HubServer) -> None:
    (tmp_path / "token").write_text("hf_secret\n")
    done = mirror("add", f"{hub.url}/", "--kind", "private", "--token-file", "token", "--weight", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [added] = [one for one in value(mirror("ls", "--json", cwd=tmp_path))["mirrors"] if one["url"] == hub.url]
    assert (added["kind"], added["weight"], added["has_token"], added["trusted"]) == ("private", 2.0, True, True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = mirror("ls", cwd=elsewhere, LAUNCHER_DATA_DIR=str(tmp_path / "data"))
    assert again.returncode == 0 and hub.url in again.stdout and "hf_secret" not in again.stdout
    assert mirror("add", hub.url, cwd=tmp_path).returncode == 2
    assert mirror("rm", hub.url, cwd=tmp_path).returncode == 0
    assert mirror("rm", "hf-mirror", cwd=tmp_path).returncode == 0
    left = [one["url"] for one in value(mirror("ls", "--json", cwd=tmp_path))["mirrors"]]
    assert left == ["https://huggingface.co", "https://www.modelscope.cn"]
    assert mirror("rm", hub.url, cwd=tmp_path).returncode == 2


def test_an_address_that_does_not_answer_is_not_added(tmp_path: Path, hub: HubServer) -> None:
    hub.close()
    done = mirror("add", hub.url, cwd=tmp_path)
    assert done.returncode == 10 and "--no-check" in done.stderr
    assert not (tmp_path / "data" / "mirrors.toml").exists()
    assert mirror("add", hub.url, "--no-check", cwd=tmp_path).returncode == 0


def test_a_private_network_stays_private(tmp_path: Path, hub: HubServer, other: HubServer) -> None:
    assert mirror("add", other.url, cwd=tmp_path, HF_ENDPOINT=hub.url).returncode == 0
    found = [one["url"] for one in value(mirror("ls", "--json", cwd=tmp_path, HF_ENDPOINT=hub.url))["mirrors"]]
    assert found == [hub.url, other.url]


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (("add", "ftp://a.example"), {}, "'ftp://a.example'"),
        (("add", "http://10.9.8.7"), {}, "LAUNCHER_ALLOW_HTTP_MIRRORS"),
        (("add", "https://a.example"), {"LAUNCHER_MIRRORS": "official"}, "is a list"),
        (("add", "https://a.example", "--token-file", "absent"), {}, "cannot be read"),
        (("add", "https://a.example", "--kind", "ftp"), {}, "kind"),
        (("rm", "https://b.example"), {"HF_ENDPOINT": "https://b.example"}, "HF_ENDPOINT"),
        (("lst",), {}, "Did you mean"),
        (("ls",), {"LAUNCHER_MIRRORS": "https://a.example;weight=x"}, "weight"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], said: str) -> None:
    done = mirror(*arguments, cwd=tmp_path, **environ)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    as_json = mirror(*arguments, "--json", cwd=tmp_path, **environ)
    assert json.loads(as_json.stdout)["error"]["exit_code"] == 2


def test_help_without_a_command(tmp_path: Path) -> None:
    done = mirror(cwd=tmp_path)
    assert done.returncode == 0 and "test" in done.stdout and "Measure" in done.stdout


def _receive(tmp_path: Path, hosts: dict[str, int]) -> None:
    """A receipt of `REPO` on this disk, as a fetch writes it."""
    folder = RepoFolder(tmp_path / "data" / "cache" / "huggingface" / "hub", NAME)
    (folder.root / "refs").mkdir(parents=True)
    (folder.root / "refs" / "main").write_text(REPO.commit)
    files = {"model.bin": Received(REPO.sha256("model.bin"), 600_000, hosts)}
    write_receipt(folder, Receipt(NAME, "main", REPO.commit, files, ()))


def test_explain_says_who_would_and_who_did(tmp_path: Path, hub: HubServer, other: HubServer) -> None:
    listed = f"{hub.url};trusted=yes,{other.url}"
    _receive(tmp_path, {hub.url: 400_000, other.url: 200_000})
    data = value(mirror("explain", NAME, "model.bin", "--json", cwd=tmp_path, LAUNCHER_MIRRORS=listed))
    assert {one["url"]: one["rejected"] for one in data["would_serve"]} == {hub.url: "", other.url: ""}
    assert sum(one["share"] for one in data["would_serve"]) == pytest.approx(1)
    assert {one["origin"] for one in data["would_serve"]} == {hub.origin_url, other.origin_url}
    assert data["did_serve"]["hosts"] == {hub.url: 400_000, other.url: 200_000}
    assert data["did_serve"]["accounted_for"] is True
    assert data["did_serve"]["sha256"] == REPO.sha256("model.bin")
    text = mirror("explain", NAME, "model.bin", cwd=tmp_path, LAUNCHER_MIRRORS=listed).stdout
    assert "Every byte is accounted for" in text and "66.7 %" in text


def test_explain_without_a_network_and_without_a_receipt(tmp_path: Path, hub: HubServer) -> None:
    before = mirror("explain", NAME, "model.bin", cwd=tmp_path, HF_ENDPOINT=hub.url)
    assert before.returncode == 0 and "no receipt" in before.stdout and "100 %" in before.stdout
    _receive(tmp_path, {hub.url: 599_999})
    hub.forget()
    done = mirror("explain", NAME, "model.bin", "--offline", cwd=tmp_path, HF_ENDPOINT=hub.url)
    assert done.returncode == 0 and "do not add up" in done.stdout and hub.count() == 0
    absent = mirror("explain", NAME, "absent.bin", cwd=tmp_path, HF_ENDPOINT=hub.url)
    assert absent.returncode == 10 and "absent.bin" in absent.stderr


def test_a_fetch_measures_the_mirrors_and_explain_proves_it(tmp_path: Path, hub: HubServer, other: HubServer) -> None:
    other.set_faults(Faults(wrong_bytes=True))
    listed = f"{hub.url};trusted=yes,{other.url}"
    base = {**os.environ, "PYTHONPATH": str(ROOT), "LAUNCHER_DATA_DIR": str(tmp_path / "data")}
    fetched = subprocess.run(
        [sys.executable, "-m", "launcher", "fetch", NAME],
        cwd=tmp_path,
        env={**base, "LAUNCHER_MIRRORS": listed},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert fetched.returncode == 0, fetched.stderr
    shown = value(mirror("ls", "--json", cwd=tmp_path, LAUNCHER_MIRRORS=listed))["mirrors"]
    assert {one["url"]: one["bytes_per_s"] for one in shown}[hub.url] > 0
    data = value(mirror("explain", NAME, "model.bin", "--offline", "--json", cwd=tmp_path, LAUNCHER_MIRRORS=listed))
    assert data["did_serve"]["hosts"] == {hub.url: 600_000} and data["did_serve"]["accounted_for"] is True


def test_without_a_network_nobody_is_asked(tmp_path: Path, hub: HubServer) -> None:
    offline = {"LAUNCHER_OFFLINE": "yes", "LAUNCHER_MIRRORS": hub.url}
    done = mirror("test", NAME, cwd=tmp_path, **offline)
    assert done.returncode == 2 and "LAUNCHER_OFFLINE" in done.stderr
    assert mirror("explain", NAME, "model.bin", cwd=tmp_path, **offline).returncode == 10
    assert mirror("add", hub.url, cwd=tmp_path, LAUNCHER_OFFLINE="yes").returncode == 0
    assert not hub.seen()
