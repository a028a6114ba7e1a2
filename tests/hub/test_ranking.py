"""The order of endpoints, and how long a measurement counts."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from launcher.config import Config, load
from launcher.hub.endpoints import Endpoint
from launcher.hub.probe import ProbeReport
from launcher.hub.ranking import FILE_NAME, MAX_AGE_S, MAX_REJECTION_AGE_S, Ranking, rank

FAST, SLOW, DEAD = (Endpoint(f"https://{name}.example") for name in ("fast", "slow", "dead"))
NEW = Endpoint("https://new.example")


def report(endpoint: Endpoint, mb_per_s: float | None, rejected: str = "", *, age_s: float = 0) -> ProbeReport:
    speed = None if mb_per_s is None else mb_per_s * 1e6
    return ProbeReport(
        endpoint.url, "hub", "org/a", "main", rejected, bytes_per_s=speed, measured_at=time.time() - age_s
    )


def settings(tmp_path: Path) -> Config:
    return load({"LAUNCHER_DATA_DIR": str(tmp_path)}, None, {})


def test_speed_times_weight_decides() -> None:
    reports = [report(DEAD, None, "is gone"), report(NEW, None), report(SLOW, 2), report(FAST, 5)]
    asked = [FAST, SLOW, DEAD, NEW]
    assert [one.url for one in rank(reports, asked)] == [FAST.url, SLOW.url, NEW.url, DEAD.url]
    heavy = [FAST, replace(SLOW, weight=3), DEAD, NEW]
    assert rank(reports, heavy)[0].url == SLOW.url
    assert [one.url for one in rank([report(SLOW, 5), report(FAST, 5)], asked)] == [FAST.url, SLOW.url]


def test_it_is_kept_and_grows_old(tmp_path: Path) -> None:
    config = settings(tmp_path)
    Ranking.load(config).keep([report(SLOW, 2), report(FAST, 5), report(DEAD, None, "is gone")])
    ranking = Ranking.load(config)
    assert ranking.order([DEAD, NEW, SLOW, FAST], "org/a", "main") == (FAST, SLOW, NEW, DEAD)
    assert ranking.order([DEAD, SLOW, FAST], "org/b", "main") == (FAST, SLOW, DEAD)
    later = time.time() + MAX_REJECTION_AGE_S + 60
    assert {one.url for one in ranking.fresh("org/a", "main", later)} == {FAST.url, SLOW.url}
    assert ranking.speeds(time.time() + MAX_AGE_S + 60) == {}


def test_a_transfer_that_disappoints_changes_the_order(tmp_path: Path) -> None:
    ranking = Ranking.load(settings(tmp_path))
    ranking.keep([report(FAST, 6), report(SLOW, 2)])
    asked = [FAST, SLOW, NEW]
    ranking.learn(asked, "org/a", "main", {FAST.url: 1e6, SLOW.url: 0.0}, {NEW.url: "sent wrong bytes"})
    again = Ranking.load(settings(tmp_path))
    assert again.order(asked, "org/a", "main") == (SLOW, FAST, NEW)
    assert [one.rejected for one in again.fresh("org/a", "main") if one.url == NEW.url] == ["sent wrong bytes"]


def test_a_transfer_that_says_nothing_writes_nothing(tmp_path: Path) -> None:
    Ranking.load(settings(tmp_path)).learn([FAST], "org/a", "main", {}, {})
    assert not (tmp_path / "cache").exists()


def test_the_newest_measurement_counts(tmp_path: Path) -> None:
    ranking = Ranking.load(settings(tmp_path))
    ranking.keep([report(FAST, 6), replace(report(FAST, 9, age_s=100), repo="org/b")])
    assert ranking.speeds()[FAST.url] == 6e6
    ranking.keep([report(FAST, 1)])
    assert ranking.speeds()[FAST.url] == 1e6


def test_a_damaged_file_is_an_empty_one(tmp_path: Path) -> None:
    config = settings(tmp_path)
    path = tmp_path / "cache" / FILE_NAME
    path.parent.mkdir()
    for damage in ("", "{", "[]", '{"format": 1, "reports": [{"x": 1}]}', '{"format": 99, "reports": []}'):
        path.write_text(damage)
        assert Ranking.load(config).speeds() == {}
    Ranking.load(config).keep([report(FAST, 6)])
    assert Ranking.load(config).speeds() and [one.name for one in path.parent.iterdir()] == [FILE_NAME]
