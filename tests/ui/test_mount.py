"""What the mounted page answers to programs: files, assets, nothing from elsewhere, no way into the file system."""

from __future__ import annotations

import json
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.ui.stand_in import StandIn, build, serving, settings
from webui.ui import assets, page

MARKUP_WRITERS = re.compile(rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function")
SECRET = "nobody may read this over the network"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client of the page."""
    with serving(build(StandIn())) as address, httpx.Client(base_url=address) as opened:
        yield opened


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file outside of everything that the page may serve."""
    path = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    path.write_text(SECRET)
    return path


def configuration(client: httpx.Client) -> dict[str, Any]:
    """Gradio's configuration of the page."""
    value: dict[str, Any] = client.get("/config").json()
    return value


def test_the_page_has_one_gradio_api(client: httpx.Client) -> None:
    seen = configuration(client)
    assert [dependency["api_name"] for dependency in seen["dependencies"]] == ["speak"]
    assert set(client.get("/gradio_api/info").json()["named_endpoints"]) == {"/speak"}


def test_nothing_is_left_on_that_reaches_out_or_records(client: httpx.Client) -> None:
    seen = configuration(client)
    assert not seen["analytics_enabled"]
    assert not seen["run_history"]
    assert seen["footer_links"] == []
    assert client.get("/gradio_api/runs").status_code == 404
    head = client.get("/").text.partition('<meta name="tts-page"')[2].partition("</head>")[0]
    assert head
    addresses = set(re.findall(r"https?://[^\s\"')]+", client.get("/theme.css").text + head))
    assert addresses <= {"http://www.w3.org/2000/svg"}, "the name of SVG, which nobody fetches"


def test_files_outside_are_not_served(client: httpx.Client, secret: Path) -> None:
    for path in (f"/gradio_api/file={secret}", f"/file={secret}", f"/gradio_api/file/{secret}"):
        answer = client.get(path)
        assert SECRET not in answer.text
        assert answer.status_code >= 400


def test_a_file_named_in_a_request_is_not_read(secret: Path) -> None:
    """Gradio reads any path that a request names in blocks that were mounted but have not "launched"."""
    import gradio as gr

    with gr.Blocks(analytics_enabled=False) as demo:
        upload, text, result = gr.File(), gr.Textbox(), gr.Textbox()
        upload.change(lambda file: Path(file).read_text(), upload, result, api_name="read")
        text.change(lambda value: value, text, result, api_name="echo")
        gr.Image().change(str, upload, result, api_name="see")
    app = page.mount_blocks(FastAPI(), demo, settings=settings())
    with serving(app) as address, httpx.Client(base_url=address, timeout=30) as opened:
        names = opened.get("/gradio_api/info").json()["named_endpoints"]
        assert set(names) == {"/read", "/echo", "/see"}
        for name in names:
            payload = {"data": [{"path": str(secret), "meta": {"_type": "gradio.FileData"}}]}
            asked = opened.post(f"/gradio_api/call{name}", json=payload)
            answer = asked.text
            if asked.status_code == 200:
                answer += opened.get(f"/gradio_api/call{name}/{asked.json()['event_id']}").text
            assert SECRET not in answer
            assert SECRET not in opened.post(f"/gradio_api/run{name}", json=payload).text


def test_assets_are_immutable_and_new_contents_are_a_new_address(client: httpx.Client) -> None:
    collected = assets.collect()
    for name in collected.files:
        answer = client.get("/" + collected.address(name))
        assert answer.content == collected.files[name]
        assert "immutable" in answer.headers["cache-control"]
    other = dict(collected.files) | {"js/main.js": b"changed"}
    assert client.get(f"/assets/ui/{'0' * 16}/js/main.js").status_code == 404
    assert len({collected.digest, assets.Assets("x", other).digest}) == 2


@pytest.mark.parametrize("name", ["../page.py", "..%2fpage.py", "js/../../page.py", "/etc/passwd", "js", ""])
def test_assets_are_only_the_collected_ones(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/assets/ui/{assets.collect().digest}/{name}")
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_scripts_import_only_scripts_that_exist() -> None:
    files = assets.collect().files
    for name, content in files.items():
        if name.endswith(".js"):
            for target in re.findall(rb'from "(\.[^"]+)"', content):
                assert posixpath.normpath(posixpath.join(posixpath.dirname(name), target.decode())) in files


def test_scripts_never_write_markup() -> None:
    for name, content in assets.collect().files.items():
        if name.endswith(".js"):
            assert not MARKUP_WRITERS.search(content)


def test_the_icon_is_ours(client: httpx.Client) -> None:
    answer = client.get("/favicon.ico")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.content == assets.collect().files[assets.ICON]


def test_settings_reach_the_scripts_escaped() -> None:
    with serving(build(StandIn(), version='1"><script>x</script>', max_text_chars=123)) as address:
        head = httpx.get(address + "/").text
    assert "<script>x" not in head
    content = re.search(r'name="tts-page" content="([^"]*)"', head)
    assert content is not None
    import html

    told = json.loads(html.unescape(content.group(1)))
    assert told["maxTextChars"] == 123
    assert told["version"] == '1"><script>x</script>'


def test_importing_gradio_writes_no_stub_files() -> None:
    code = (
        "from webui.ui.gradio_import import prepare_import; prepare_import();"
        "import gradio, gradio.component_meta as m;"
        "print(m.create_or_modify_pyi.__module__); prepare_import(); import sys;"
        "print(sum(type(f).__module__ == 'webui.ui.gradio_import' for f in sys.meta_path))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["webui.ui.gradio_import", "1"]


def test_importing_the_page_does_not_import_gradio() -> None:
    code = "import webui.ui.page, sys; print('gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"


def test_pandas_comes_when_it_is_used_and_not_before() -> None:
    code = (
        "import sys; from webui.ui.gradio_import import prepare_import; prepare_import(); import gradio;"
        "assert 'pandas.core' not in sys.modules;"
        "import pandas; table = gradio.Dataframe(); value = table.postprocess(pandas.DataFrame({'a': [1, 2]}));"
        "from pandas.core.frame import DataFrame; assert DataFrame is pandas.DataFrame;"
        "print(value.data)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "[[1], [2]]\n"), done.stderr
