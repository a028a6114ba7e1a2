"""The System tab's routes: who may look, who may act, and what the supervisor is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from launcher.access import AccessRules
from launcher.channel import Channel
from tests.engine.processes import ControlListener, page
from webui.api.answers import WHO
from webui.api.log_tail import tail
from webui.api.system import is_owner

TOKEN = "a-secret-of-16-characters"
USER = "another-secret-of-32-characters"


class Supervisor(ControlListener):
    """Answers every command with its own words, and refuses one."""

    def _read(self, channel: Channel) -> None:
        while (message := channel.receive()) is not None:
            self.messages.append(message)
            if message.get("model") == "org/busy":
                channel.send({"ok": False, "error": "A fetch of org/other runs already."})
            elif "command" in message:
                channel.send({"ok": True, "result": {"errands": [], "heard": message}})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Supervisor]]:
    folder = tmp_path_factory.mktemp("logs")
    (folder / "launcher.log").write_text("2026-11-21T10:00:00.000+00:00 ERROR engine It broke: at once\n")
    supervisor = Supervisor()
    options: dict[str, Any] = {"users": (("mia", USER),), "log_dir": str(folder)}
    with page("unix:/nowhere", token=TOKEN, control_address=supervisor.address, **options) as address:
        yield address, supervisor
    supervisor.close()


def client(served: tuple[str, Supervisor], token: str) -> httpx.Client:
    return httpx.Client(base_url=served[0], headers={"Authorization": f"Bearer {token}"}, timeout=30)


def test_the_owner_acts(served: tuple[str, Supervisor]) -> None:
    with client(served, TOKEN) as owner:
        assert owner.get("/api/system").json()["owner"] is True
        assert owner.get("/api/system/figures").json()["heard"] == {"command": "figures"}
        lines = owner.get("/api/system/log?lines=5").json()["lines"]
        assert [tuple(one.values())[1:] for one in lines] == [("ERROR", "engine", "It broke: at once")]
        assert owner.get("/api/system/log?lines=5&level=info").json()["lines"] == []
        sent = owner.post("/api/system/errands", json={"kind": "fetch", "model": "org/model"})
        assert sent.status_code == 202
        assert sent.json()["heard"] == {"command": "errand", "kind": "fetch", "model": "org/model"}
        busy = owner.post("/api/system/errands", json={"kind": "fetch", "model": "org/busy"})
        assert busy.status_code == 409 and "runs already" in busy.json()["error"]["message"]
        assert owner.delete("/api/system/errands/7").json()["heard"] == {"command": "cancel-errand", "number": 7}
        reloaded = owner.post("/api/system/engine", json={"do": "reload", "component": "engine-2"})
        assert reloaded.json()["heard"] == {"command": "restart", "component": "engine-2"}
        assert owner.post("/api/system/engine", json={"do": "stop"}).status_code == 400
        assert owner.post("/api/system/engine", json={"do": "reload", "component": "page"}).status_code == 400


def test_everybody_else_looks(served: tuple[str, Supervisor]) -> None:
    with client(served, USER) as visitor:
        assert visitor.get("/api/system").json()["owner"] is False
        assert visitor.get("/api/system/figures").status_code == 200
        assert visitor.post("/api/system/errands", json={"kind": "look"}).status_code == 202
        count = len(served[1].messages)
        for method, path, body in (
            ("GET", "/api/system/log", None),
            ("POST", "/api/system/errands", {"kind": "verify"}),
            ("DELETE", "/api/system/errands/1", None),
            ("POST", "/api/system/engine", {"do": "unload"}),
        ):
            answer = visitor.request(method, path, json=body)
            assert answer.status_code == 403 and answer.json()["error"]["code"] == "owner_only", path
        assert len(served[1].messages) == count  # nothing of it reached the supervisor
    assert httpx.get(f"{served[0]}/api/system").status_code == 401


@pytest.mark.parametrize(
    ("rules", "who", "address", "owner"),
    [
        (AccessRules(), "", "127.0.0.1", True),
        (AccessRules(), "", "::1", True),
        (AccessRules(), "", "192.168.1.5", False),
        (AccessRules(), "", "local", False),
        (AccessRules(token=TOKEN), "token", "192.168.1.5", True),
        (AccessRules(users=(("mia", USER),)), "mia", "127.0.0.1", False),
        (AccessRules(token=TOKEN), "", "127.0.0.1", False),
    ],
)
def test_who_the_owner_is(rules: AccessRules, who: str, address: str, owner: bool) -> None:
    assert is_owner(Request({"type": "http", "client": (address, 1), "headers": [], WHO: who}), rules) is owner


def test_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    lines = [f"2026-11-21T10:00:00.000+00:00 INFO page line {number} {'x' * 100}" for number in range(5000)]
    (tmp_path / "launcher.log.1").write_text("2026-11-21T09:00:00.000+00:00 WARNING page older\n")
    (tmp_path / "launcher.log").write_text("no line of ours\n" + "\n".join(lines) + "\n")
    found = tail(tmp_path, 3)
    assert [one["text"].split()[1] for one in found] == ["4997", "4998", "4999"]
    assert tail(tmp_path, 3, level="WARNING") == [
        {"time": "2026-11-21T09:00:00.000+00:00", "level": "WARNING", "component": "page", "text": "older"}
    ]
    assert tail(tmp_path / "absent", 3) == []
