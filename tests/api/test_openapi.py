"""Requests that nobody thought of: whatever fits the API's document, and what does not, never is an error of ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from tests.engine.processes import page, worker
from webui.api.openapi import build_document
from webui.library.library import Library

#: `/readyz` is 503 while no supervisor says that all is well, and there is none here.
SCHEMA = schemathesis.openapi.from_dict(build_document("0", 200)).exclude(path="/readyz")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("engine")
    library = Library(folder / "library")
    try:
        with (
            worker(folder, segment_audio_s=0.01) as engine,
            page(engine.address, library=library, max_text_chars=200) as server,
        ):
            yield server
    finally:
        library.close()


@SCHEMA.parametrize()
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_request_is_an_error_of_ours(case: schemathesis.Case, address: str) -> None:
    case.call_and_validate(base_url=address, checks=[not_a_server_error])
