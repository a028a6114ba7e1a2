"""Which alarms are on, from the facts alone."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from launcher.alarms.events import FILE_NAME, note, note_mirror, note_verification, recent
from launcher.alarms.names import ALARMS, METRICS, Alarm
from launcher.alarms.watch import disk_alarms, load_alarms, look, mirror_alarms, usage_of, verify_alarms
from launcher.config import load
from launcher.hub.endpoints import Endpoint
from launcher.hub.ranking import FILE_NAME as RANKING_FILE
from launcher.hub.ranking import Ranking

NOW = 1_800_000_000.0


def stage(state: str, elapsed_s: float) -> dict[str, Any]:
    return {
        "stages": [
            {"name": "page", "state": "done", "elapsed_s": 99},
            {"name": "engine", "state": state, "elapsed_s": elapsed_s},
        ]
    }


@pytest.mark.parametrize(("used", "on"), [(84, False), (85, True), (100, True)])
def test_a_disk_that_fills(used: int, on: bool) -> None:
    found = disk_alarms({"HF_HUB_CACHE": Path("/models")}, lambda path: (used, 100))
    assert [one.code for one in found] == ["cache_disk_nearly_full"] * on
    assert not on or (
        "/models" in found[0].message and f"{used} %" in found[0].message and "HF_HUB_CACHE" in found[0].fix
    )


def test_one_disk_is_one_alarm_and_an_unknown_one_is_none() -> None:
    def usage(path: Path) -> tuple[int, int]:
        if path == Path("/gone"):
            raise OSError("stale")
        return 95, 100

    paths = {"HF_HUB_CACHE": Path("/data/hub"), "LAUNCHER_DATA_DIR": Path("/data"), "OTHER": Path("/gone")}
    assert len(disk_alarms(paths, usage)) == 1


def test_the_real_disk_is_asked(tmp_path: Path) -> None:
    used, total = usage_of(tmp_path / "not" / "there" / "yet")
    assert 0 < used < total


def test_slow_loads() -> None:
    assert not load_alarms(stage("running", 59)) and not load_alarms(stage("failed", 600)) and not load_alarms({})
    assert "has been loading for 75 s" in load_alarms(stage("running", 75))[0].message
    assert "took 75 s to load" in load_alarms(stage("done", 75))[0].message


def test_mirrors_that_time_out_again_and_again(tmp_path: Path) -> None:
    for at in (NOW - 7200, NOW - 50, NOW - 20, NOW - 10):
        note(tmp_path, "mirror_timeout", "https://slow", at=at)
    note(tmp_path, "mirror_timeout", "https://once", at=NOW)
    found = mirror_alarms(recent(tmp_path), NOW)
    assert [one.code for one in found] == ["mirror_timeouts"] and "https://slow timed out 3 times" in found[0].message
    assert not mirror_alarms(recent(tmp_path), NOW + 3600)


def test_a_fetch_notes_who_kept_it_waiting(tmp_path: Path) -> None:
    ranking = Ranking(tmp_path / RANKING_FILE)
    rejected = {"https://a": "sent nothing for a while (https://a)", "https://b": "answered 404"}
    ranking.learn([Endpoint("https://a"), Endpoint("https://b")], "org/model", "main", {}, rejected)
    note_mirror(tmp_path, "https://c", "cannot be reached (https://c)")
    assert [one.subject for one in recent(tmp_path)] == ["https://a", "https://c"]


def test_damage_is_an_alarm_until_it_is_mended(tmp_path: Path) -> None:
    note(tmp_path, "verify_failure", "org/a", at=NOW - 100)
    note(tmp_path, "verify_failure", "org/b", at=NOW - 90)
    note(tmp_path, "verify_success", "org/a", at=NOW - 80)
    (found,) = verify_alarms(recent(tmp_path), NOW)
    assert found.code == "verify_failures" and "org/b" in found.message and "org/a" not in found.message
    note(tmp_path, "verify_success", "org/b", at=NOW)
    assert not verify_alarms(recent(tmp_path), NOW)


def test_a_verification_is_remembered_only_when_it_matters(tmp_path: Path) -> None:
    note_verification(tmp_path, ["org/a", "org/b"], [])
    assert not (tmp_path / FILE_NAME).exists()
    note_verification(tmp_path, ["org/a", "org/b"], ["org/b"])
    note_verification(tmp_path, ["org/a"], [])
    assert [one.subject for one in recent(tmp_path)] == ["org/b"]
    note_verification(tmp_path, ["org/a", "org/b"], [])
    assert [one.kind for one in recent(tmp_path)] == ["verify_failure", "verify_success"]


def test_everything_together(tmp_path: Path) -> None:
    (tmp_path / "empty.env").touch()
    config = load({"LAUNCHER_DATA_DIR": str(tmp_path / "data")}, tmp_path / "empty.env", {})
    assert look(config, stage("done", 3), usage=lambda path: (1, 100)) == []
    note(tmp_path / "data" / "cache", "verify_failure", "org/a")
    found = look(config, stage("done", 100), usage=lambda path: (99, 100))
    assert {one.code for one in found} == {"cache_disk_nearly_full", "engine_load_slow", "verify_failures"}
    assert all(one.message and one.fix for one in found)


def test_the_record_stays_small_and_bears_damage(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"nonsense\n[1]\n{}\n\xff\xfe\n")
    for number in range(3000):
        note(tmp_path, "mirror_timeout", f"https://{number}" + "x" * 40, at=NOW)
    events = recent(tmp_path)
    assert path.stat().st_size < 200_000 and events[-1].subject.startswith("https://2999") and len(events) > 300
    note(Path("/proc/nowhere"), "mirror_timeout", "x")  # a disk that takes nothing is no failure
    assert recent(tmp_path / "absent") == []


def write_many(folder: Path, subject: str) -> None:
    for _ in range(200):
        note(folder, "mirror_timeout", subject, at=NOW)


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, f"https://{number}")) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    events = recent(tmp_path)
    assert len(events) == 400 and {one.subject for one in events} == {"https://0", "https://1"}


def test_names_are_a_contract() -> None:
    assert ALARMS == ("cache_disk_nearly_full", "engine_load_slow", "mirror_timeouts", "verify_failures")
    assert [one.name for one in METRICS] == [
        "tts_cache_disk_used_ratio",
        "tts_cache_disk_free_bytes",
        "tts_engine_load_seconds",
        "tts_mirror_timeouts_total",
        "tts_verify_failures_total",
        "tts_alarm_active",
        "tts_component_ready",
        "tts_restarts_total",
        "tts_start_stage_seconds",
        "tts_start_stage_done",
        "tts_started_timestamp_seconds",
        "tts_engine_load_bytes",
        "tts_fetch_bytes_total",
        "tts_cache_bytes",
        "tts_process_resident_bytes",
        "tts_process_cpu_seconds_total",
        "tts_gpu_memory_used_bytes",
        "tts_gpu_memory_total_bytes",
        "tts_gpu_memory_engine_bytes",
        "tts_gpu_load_ratio",
    ]
    assert Alarm("c", "m", "f").to_json() == {"code": "c", "message": "m", "fix": "f"}
