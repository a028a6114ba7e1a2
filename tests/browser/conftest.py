"""A real Chromium on the page of the stand-in service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.visitor import Visitor
from tests.ui.stand_in import StandIn, build, serving

WIDTHS = {390: 844, 1440: 1000}


@pytest.fixture(scope="session")
def built() -> tuple[Any, StandIn]:
    """One application for all tests, because building Gradio's page takes seconds, and the service behind it."""
    service = StandIn()
    return build(service), service


@pytest.fixture(scope="session")
def served(built: tuple[Any, StandIn]) -> Iterator[tuple[str, StandIn]]:
    """The server that most tests use."""
    with serving(built[0]) as address:
        yield address, built[1]


@pytest.fixture
def service(served: tuple[str, StandIn]) -> StandIn:
    """The service, as if just started."""
    served[1].reset()
    return served[1]


@pytest.fixture
def visit(browser: Any, served: tuple[str, StandIn], service: StandIn) -> Iterator[Callable[..., Visitor]]:
    """Opens the page as a new visitor: ``visit(language="zh-CN", width=390)``; fails on script errors at the end."""
    visitors: list[Visitor] = []

    def open_page(*, language: str = "en-US", width: int = 1440, address: str = "", **options: Any) -> Visitor:
        viewport = {"width": width, "height": WIDTHS.get(width, 900)}
        context = browser.new_context(locale=language, viewport=viewport, accept_downloads=True, **options)
        visitor = Visitor(context, (address or served[0]) + "/")
        visitors.append(visitor)
        return visitor

    yield open_page
    for visitor in visitors:
        visitor.context.close()
        assert visitor.script_errors == []
        assert visitor.foreign_requests == []
