"""No request may make the mounted page read a file of this machine, whatever API name it uses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.engine.processes import page
from webui.app import MountPage
from webui.settings import PageSettings

SECRET = "a secret that nobody may read"


def mount_ui(settings: PageSettings) -> MountPage:
    from webui.ui.page import mount

    return lambda app: mount(app, settings=settings)


def mount_open_blocks(settings: PageSettings) -> MountPage:
    """Blocks with functions that take and give back files of every kind: what a later panel may do."""
    import gradio as gr

    from webui.ui.page import mount_blocks

    def mount(app: FastAPI) -> FastAPI:
        with gr.Blocks() as demo:
            for component in (gr.File, gr.Audio, gr.Image, gr.Video):
                source, target = component(), component()
                gr.Button().click(lambda value: value, source, target, api_name=component.__name__.lower())
            gr.Button().click(lambda value: value, gr.JSON(), gr.JSON(), api_name="json")
            gr.Button().click(lambda value: value, gr.State(), gr.JSON(), api_name="state")
        return mount_blocks(app, demo, settings=settings)

    return mount


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


@pytest.fixture(params=[mount_ui, mount_open_blocks])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    mount: Callable[[PageSettings], MountPage] = request.param
    with page("unix:/nobody", mount_page=mount) as server:
        yield server


def everything_that_comes_back(client: httpx.Client, index: int, inputs: int, file: dict) -> str:
    """Joins the queue with ``file`` as every input, and reads the event stream to its end."""
    session = f"session{index}"
    body = {"data": [file] * inputs, "fn_index": index, "session_hash": session}
    joined = client.post("/gradio_api/queue/join", json=body)
    heard = joined.text
    if joined.status_code == 200:
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as events:
            for line in events.iter_lines():
                heard += line
                if "process_completed" in line or "close_stream" in line or "unexpected_error" in line:
                    break
    return heard


def paths_in(text: str) -> set[str]:
    """Every file that an answer names."""
    found: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            found.update(str(value[key]) for key in ("path", "url") if isinstance(value.get(key), str))
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    for piece in text.split("data: "):
        try:
            walk(json.loads(piece))
        except ValueError:
            continue
    return found


def test_no_api_name_reads_a_file(address: str, secret: Path) -> None:
    with httpx.Client(base_url=address, timeout=60) as client:
        config = client.get("/config").json()
        dependencies = config["dependencies"]
        for target in (secret, Path("/etc/passwd")):
            wanted = target.read_text()[:25]
            file = {"path": str(target), "orig_name": "a.wav", "meta": {"_type": "gradio.FileData"}}
            for index, dependency in enumerate(dependencies):
                inputs = max(1, len(dependency["inputs"]))
                heard = everything_that_comes_back(client, dependency.get("id", index), inputs, file)
                assert wanted not in heard
                for path in paths_in(heard):
                    link = path if path.startswith("http") else f"{address}/gradio_api/file={path}"
                    assert wanted not in client.get(link).text, (dependency.get("api_name"), path)
                name = dependency.get("api_name") or ""
                for call in (f"/gradio_api/call/{name}", f"/gradio_api/run/{name}", f"/gradio_api/api/{name}"):
                    answer = client.post(call, json={"data": [file] * inputs})
                    assert wanted not in answer.text


def test_the_file_route_serves_nothing_of_this_machine(address: str, secret: Path) -> None:
    with httpx.Client(base_url=address, timeout=60) as client:
        for target in (secret, Path("/etc/passwd"), Path(__file__).resolve()):
            for prefix in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/gradio_api/stream/"):
                for spelling in (str(target), f"../../../../..{target}", f"%2e%2e/{target}", f"{target}\x00.png"):
                    answer = client.get(prefix + spelling.replace("\x00", "%00"))
                    assert answer.status_code >= 400, (prefix, spelling)
                    assert target.read_text()[:25] not in answer.text


def test_the_page_comes_through_the_guard(address: str) -> None:
    answer = httpx.get(address, timeout=60)
    assert answer.status_code == 200
    assert "frame-ancestors" in answer.headers["content-security-policy"]
    assert httpx.get(address, headers={"host": "evil.example"}).status_code == 421
    foreign = httpx.post(
        f"{address}/gradio_api/queue/join", json={"data": []}, headers={"origin": "https://evil.example"}
    )
    assert foreign.status_code == 403
