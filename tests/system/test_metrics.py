"""A real Prometheus at a real instance: speech is made, and the numbers say so; the page dies, and they go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.metrics.prometheus import prometheus
from tests.system.running import Running, http

pytestmark = pytest.mark.voice


def test_prometheus_scrapes_a_running_instance(shared_instance: Running, tmp_path: Path) -> None:
    url = shared_instance.url
    with prometheus(tmp_path, {"tts": f"{url}/metrics"}) as server:
        server.wait(lambda: server.value("up") == 1, "the first scrape")
        before = server.value("tts_audio_seconds_total") or 0.0
        body = {"model": "tts-1", "input": "Count me.", "response_format": "wav"}
        assert http(f"{url}/v1/audio/speech", body)[0] == 200
        server.wait(lambda: (server.value("tts_audio_seconds_total") or 0.0) > before + 0.3, "the speech")
        assert server.value('tts_requests_total{outcome="done"}') >= 1
        assert server.value("tts_real_time_factor_count") >= 1
        assert server.value('tts_component_ready{component="engine"}') == 1
        assert 0 < server.value('tts_start_stage_seconds{stage="engine"}') < 600
        # The look at processes, disks and caches comes some seconds after the start.
        server.wait(lambda: (server.value('tts_process_resident_bytes{component="engine"}') or 0) > 50e6, "memory")
        assert 0 < server.value("max(tts_cache_disk_used_ratio)") < 1
        restarts = server.value('tts_restarts_total{component="page"}') or 0
        shared_instance.kill("page")
        server.wait(lambda: server.value('tts_restarts_total{component="page"}') == restarts + 1, "the restart")
        shared_instance.wait_ready()
        server.wait(lambda: server.value("tts_queue_depth") == 0, "the page's own numbers again")
        # The port was there all the time; a scrape that was inside the dying process may be lost.
        assert server.value("avg_over_time(up[1m])") > 0.8
