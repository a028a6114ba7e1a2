"""Requests that nobody thought of: whatever fits the API's document, and what does not, never is an error of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from starlette.routing import Route

from tests.engine.processes import page, worker
from webui.api.openapi import build_document
from webui.app import create_app
from webui.engine.client import EngineClient
from webui.engine.pool import EnginePool
from webui.jobs.store import JobStore
from webui.library.library import Library
from webui.settings import PageSettings
from webui.supervisor_link import SupervisorLink
from webui.synthesis import Synthesis

#: `/readyz` is 503 while no supervisor says that all is well, and there is none here.
SCHEMA = schemathesis.openapi.from_dict(build_document("0", 200)).exclude(path="/readyz")

# Boundary values of every field by themselves would be hundreds of requests; chance finds most of them, too.
SCHEMA.config.phases.coverage.enabled = False


def test_every_route_of_the_api_is_in_the_document(tmp_path: Path) -> None:
    settings = PageSettings("test", "0", "127.0.0.1", 1, "unix:/nobody", "", str(tmp_path))
    engine = EnginePool([EngineClient("unix:/nobody", "")])
    library, jobs = Library(tmp_path / "library"), JobStore(tmp_path / "jobs")
    try:
        link = SupervisorLink(settings)
        guard = create_app(
            settings, engine=engine, link=link, synthesis=Synthesis(engine, 1), library=library, jobs=jobs
        )
    finally:
        library.close()
        jobs.close()
    assert isinstance(guard.app, FastAPI)
    served = {
        (re.sub(r":\w+}", "}", route.path), method.lower())
        for route in guard.app.router.routes
        if isinstance(route, Route) and route.path.startswith("/v1/") and route.path != "/v1/{path:path}"
        for method in (route.methods or set()) - {"HEAD"}
    }
    document = build_document("0", 200)["paths"]
    told = {(path, method) for path, item in document.items() if path.startswith("/v1/") for method in item}
    assert served == told


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("engine")
    library, jobs = Library(folder / "library"), JobStore(folder / "jobs")
    try:
        with (
            worker(folder, segment_audio_s=0.01) as engine,
            page(engine.address, library=library, jobs=jobs, max_text_chars=200) as server,
        ):
            yield server
    finally:
        library.close()
        jobs.close()


@SCHEMA.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_request_is_an_error_of_ours(case: schemathesis.Case, address: str) -> None:
    case.call_and_validate(base_url=address, checks=[not_a_server_error])
