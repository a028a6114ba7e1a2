"""Settings from flags, environment and .env: precedence, values, and what is said about bad ones."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from launcher.config import Config, load
from launcher.config.keys import KEYS
from launcher.errors import ConfigError

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder, so that no other .env is found."""
    monkeypatch.chdir(tmp_path)


def refusal(environ: Mapping[str, str] | None = None, flags: Mapping[str, str | None] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(environ or {}, None, flags or {})
    assert caught.value.exit_code == 2
    return str(caught.value)


def source_of(config: Config, name: str) -> str:
    return next(value.source for value in config.values if value.name == name)


def test_defaults_need_nothing() -> None:
    config = load({}, None, {})
    assert (config.instance, config.host, config.port, config.token) == ("default", "127.0.0.1", 7860, "")
    assert config.allowed_hosts == ("127.0.0.1", "localhost", "::1")
    assert (config.log_max_bytes, config.max_body_bytes) == (10_000_000, 32 * 1024 * 1024)
    assert config.data_dir.is_absolute() and config.data_dir.name == "tts-launcher"
    assert config.dotenv_path is None and config.warnings == () and config.standard == {}
    assert {value.source for value in config.values} == {"default"}


@pytest.mark.parametrize(
    ("settings", "devices"),
    [
        ({}, ("auto",)),
        ({"LAUNCHER_ENGINES": "2", "LAUNCHER_DEVICE": "cuda:1"}, ("cuda:1", "cuda:1")),
        ({"LAUNCHER_GPU": "0,2", "LAUNCHER_DEVICE": "cpu"}, ("cuda:0", "cuda:2")),
        ({"LAUNCHER_GPU": "0,2", "LAUNCHER_ENGINES": "3"}, ("cuda:0", "cuda:2", "cuda:0")),
    ],
)
def test_every_engine_has_a_device(settings: dict[str, str], devices: tuple[str, ...]) -> None:
    assert load(settings, None, {}).devices == devices


def test_a_flag_wins_over_the_environment_over_dotenv_over_the_default() -> None:
    Path(".env").write_text("LAUNCHER_PORT=1001\nLAUNCHER_THREADS=3\nLAUNCHER_ENGINE=kokoro\n")
    environ = {"LAUNCHER_PORT": "1002", "LAUNCHER_THREADS": "4"}
    config = load(environ, None, {"LAUNCHER_PORT": "1003", "LAUNCHER_DEVICE": None})
    assert (config.port, config.threads, config.engine, config.device) == (1003, 4, "kokoro", "auto")
    names = ("LAUNCHER_PORT", "LAUNCHER_THREADS", "LAUNCHER_ENGINE", "LAUNCHER_DEVICE")
    assert [source_of(config, name) for name in names] == ["flag", "environment", ".env", "default"]
    assert config.dotenv_path == Path.cwd() / ".env"


def test_an_empty_value_is_no_value() -> None:
    Path(".env").write_text("LAUNCHER_PORT=1001\nLAUNCHER_ENGINE=\nHF_HOME=\n")
    config = load({"LAUNCHER_PORT": "  ", "HF_ENDPOINT": ""}, None, {"LAUNCHER_PORT": ""})
    assert config.port == 1001 and config.engine == "auto" and config.standard == {}


def test_an_empty_list_of_gpus_hides_them_all() -> None:
    assert load({"CUDA_VISIBLE_DEVICES": ""}, None, {}).standard == {"CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("LAUNCHER_PORT", "auto", 0),
        ("LAUNCHER_PORT", "65535", 65535),
        ("LAUNCHER_HOST", "[::1]", "::1"),
        ("LAUNCHER_HOST", "127.8.9.1", "127.8.9.1"),
        ("LAUNCHER_HOST", "::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("LAUNCHER_HOST", "LOCALHOST", "localhost"),
        ("LAUNCHER_DEVICE", "CUDA", "cuda:0"),
        ("LAUNCHER_DEVICE", "cuda:3", "cuda:3"),
        ("LAUNCHER_ENGINES", "2", 2),
        ("LAUNCHER_GPU", "0, 1", (0, 1)),
        ("LAUNCHER_GPU", "1", (1,)),
        ("LAUNCHER_LOG_LEVEL", "DEBUG", "debug"),
        ("LAUNCHER_LOG_MAX_BYTES", "500000", 500_000),
        ("LAUNCHER_LOG_MAX_BYTES", "10MB", 10_000_000),
        ("LAUNCHER_LOG_MAX_BYTES", "1.5 MiB", 1_572_864),
        ("LAUNCHER_STOP_GRACE_S", "0.5", 0.5),
        ("LAUNCHER_RESTART_LIMIT", "0", 0),
        ("LAUNCHER_ROOT_PATH", "/tts/", "/tts"),
        ("LAUNCHER_ROOT_PATH", "/", ""),
        ("LAUNCHER_OPEN_BROWSER", "No", "no"),
        (
            "LAUNCHER_ALLOWED_HOSTS",
            "TTS.example.org, 10.0.0.5",
            ("127.0.0.1", "localhost", "::1", "tts.example.org", "10.0.0.5"),
        ),
    ],
)
def test_a_value_is_understood(name: str, text: str, value: object) -> None:
    config = load({name: text}, None, {})
    assert getattr(config, name.removeprefix("LAUNCHER_").lower()) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LAUNCHER_PORT", "0"),
        ("LAUNCHER_PORT", "65536"),
        ("LAUNCHER_PORT", "-1"),
        ("LAUNCHER_PORT", "http"),
        ("LAUNCHER_PORT", "７８６０"),
        ("LAUNCHER_PORT", "7_860"),
        ("LAUNCHER_PORT", "78 60"),
        ("LAUNCHER_INSTANCE", "../other"),
        ("LAUNCHER_INSTANCE", "Studio"),
        ("LAUNCHER_INSTANCE", "x" * 33),
        ("LAUNCHER_HOST", "http://127.0.0.1"),
        ("LAUNCHER_HOST", "127.0.0.1:7860"),
        ("LAUNCHER_HOST", "300.1.1.1"),
        ("LAUNCHER_HOST", "two words"),
        ("LAUNCHER_ALLOWED_HOSTS", "tts.example.org:443"),
        ("LAUNCHER_ALLOWED_HOSTS", "https://tts.example.org"),
        ("LAUNCHER_ROOT_PATH", "tts"),
        ("LAUNCHER_ROOT_PATH", "/a/../b"),
        ("LAUNCHER_ROOT_PATH", "/a?b"),
        ("LAUNCHER_ENGINE", "no such"),
        ("LAUNCHER_DEVICE", "gpu"),
        ("LAUNCHER_ENGINES", "0"),
        ("LAUNCHER_ENGINES", "many"),
        ("LAUNCHER_ENGINES", "33"),
        ("LAUNCHER_GPU", "first"),
        ("LAUNCHER_GPU", "0,0"),
        ("LAUNCHER_GPU", "0;1"),
        ("LAUNCHER_GPU", "-1"),
        ("LAUNCHER_THREADS", "-1"),
        ("LAUNCHER_THREADS", "2.5"),
        ("LAUNCHER_OPEN_BROWSER", "maybe"),
        ("LAUNCHER_LOG_LEVEL", "loud"),
        ("LAUNCHER_LOG_MAX_BYTES", "10 apples"),
        ("LAUNCHER_LOG_MAX_BYTES", "1"),
        ("LAUNCHER_LOG_FILES", "0"),
        ("LAUNCHER_STOP_GRACE_S", "nan"),
        ("LAUNCHER_STOP_GRACE_S", "inf"),
        ("LAUNCHER_STOP_GRACE_S", "1e3"),
        ("LAUNCHER_RESTART_WINDOW_S", "0"),
        ("LAUNCHER_MAX_TEXT_CHARS", "0"),
        ("LAUNCHER_MAX_BODY_BYTES", "99999999999999"),
        ("LAUNCHER_QUEUE_SIZE", "9" * 40),
        ("LAUNCHER_DATA_DIR", "~nobody-has-this-name/x"),
        ("LAUNCHER_DATA_DIR", "/" + "d" * 300),
        ("HF_HOME", "/d" * 2000),
        ("LAUNCHER_INSTANCE", "con"),
        ("LAUNCHER_METRICS_TEXTFILE", "/tmp/.prom"),
        ("LAUNCHER_ENGINE", "ko\x1bkoro"),
        ("HF_ENDPOINT", "hf-mirror.com"),
        ("HF_ENDPOINT", "ftp://hf-mirror.com"),
        ("HF_ENDPOINT", "https://"),
        ("HF_ENDPOINT", "https://hf-mirror.com:99999"),
        ("HF_ENDPOINT", "https://hf-mirror.com/?a=b"),
        ("HF_ENDPOINT", "https://[::1"),
        ("HTTP_PROXY", "ftp://proxy:1"),
        ("https_proxy", "http://proxy:port"),
        ("CUDA_VISIBLE_DEVICES", "first"),
    ],
)
def test_a_bad_value_is_named_with_a_fix(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({name: text}, None, {})
    assert caught.value.message.startswith(name) and "(environment)" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.fix.endswith((".", ")", '"', "10.0.0.5"))


def test_every_bad_value_is_reported_at_once() -> None:
    Path(".env").write_text("LAUNCHER_QUEUE_SIZE=none\nno equals sign\n")
    said = refusal({"LAUNCHER_PORT": "x", "LAUNCHER_PROT": "1", "HF_ENDPOINT": "y"}, {"LAUNCHER_DEVICE": "z"})
    lines = said.splitlines()
    assert len(lines) == 6
    for part in ("LAUNCHER_QUEUE_SIZE='none' (.env)", "line 2", "LAUNCHER_PORT='x'", "LAUNCHER_DEVICE='z' (flag)"):
        assert sum(part in line for line in lines) == 1
    assert any(line.startswith("LAUNCHER_PROT ") and "Did you mean LAUNCHER_PORT?" in line for line in lines)
    assert any(line.startswith("HF_ENDPOINT='y'") for line in lines)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "tts.example.org", "localhost.example.org"])
def test_a_host_beyond_loopback_needs_a_token(host: str) -> None:
    said = refusal({"LAUNCHER_HOST": host})
    assert "LAUNCHER_HOST" in said and "Set LAUNCHER_TOKEN" in said and "secrets.token_urlsafe" in said
    config = load({"LAUNCHER_HOST": host, "LAUNCHER_TOKEN": TOKEN}, None, {})
    assert config.host == host and config.token == TOKEN and config.allowed_hosts == ("*",)


def test_listed_hosts_are_the_only_ones_beyond_loopback() -> None:
    environ = {"LAUNCHER_HOST": "0.0.0.0", "LAUNCHER_TOKEN": TOKEN, "LAUNCHER_ALLOWED_HOSTS": "tts.example.org"}
    assert load(environ, None, {}).allowed_hosts == ("127.0.0.1", "localhost", "::1", "0.0.0.0", "tts.example.org")


def test_any_host_name_needs_a_token() -> None:
    assert "Set LAUNCHER_TOKEN" in refusal({"LAUNCHER_ALLOWED_HOSTS": "*"})
    assert "*" in load({"LAUNCHER_ALLOWED_HOSTS": "*", "LAUNCHER_TOKEN": TOKEN}, None, {}).allowed_hosts


@pytest.mark.parametrize(
    "token", ["short-secret", "aaaaaaaaaaaaaaaaaaaaaaaa", "a token with several spaces", "密码" * 12]
)
def test_a_weak_token_is_refused_and_not_repeated(token: str) -> None:
    said = refusal({"LAUNCHER_TOKEN": token})
    assert said.startswith("LAUNCHER_TOKEN (environment)") and "secrets.token_urlsafe" in said
    assert token not in said


def test_secrets_are_never_shown() -> None:
    environ = {
        "LAUNCHER_TOKEN": TOKEN,
        "HF_TOKEN": "hf_abcdefghijklmnop",
        "HTTPS_PROXY": "http://ada:lovelace@proxy:3128",
        "http_proxy": "ada:lovelace@proxy:3128",
    }
    config = load(environ, None, {})
    shown = repr(config) + str(config) + json.dumps([vars(value) for value in config.values])
    for secret in (TOKEN, "hf_abcdefghijklmnop", "lovelace", "ada"):
        assert secret not in shown
    assert "proxy:3128" in shown and "LAUNCHER_TOKEN" in repr(config)
    assert config.standard["HTTPS_PROXY"] == environ["HTTPS_PROXY"]


@pytest.mark.parametrize("name", ["HF_ENDPOINT", "HTTP_PROXY"])
def test_a_password_in_a_bad_address_is_not_repeated(name: str) -> None:
    assert "lovelace" not in refusal({name: "ftp://ada:lovelace@mirror"})


def test_a_hub_with_a_password_is_refused() -> None:
    assert "HF_TOKEN" in refusal({"HF_ENDPOINT": "https://ada:lovelace@mirror.example.org"})


def test_a_slash_at_the_end_of_the_hubs_address_is_dropped() -> None:
    config = load({"HF_ENDPOINT": "https://hf-mirror.com/"}, None, {})
    assert config.standard["HF_ENDPOINT"] == "https://hf-mirror.com" and config.warnings == ()


def test_a_token_for_a_mirror_is_warned_about() -> None:
    warnings = load({"HF_ENDPOINT": "https://hf-mirror.com", "HF_TOKEN": "hf_x1"}, None, {}).warnings
    assert len(warnings) == 1 and "HF_TOKEN is sent to" in warnings[0] and "hf_x1" not in warnings[0]


def test_transformers_cache_is_kept_with_a_warning() -> None:
    config = load({"TRANSFORMERS_CACHE": "/models"}, None, {})
    assert config.standard == {"TRANSFORMERS_CACHE": "/models"}
    assert len(config.warnings) == 1 and "HF_HUB_CACHE" in config.warnings[0]


def test_an_unknown_name_without_a_likeness_is_refused() -> None:
    assert "docs/configuration.md" in refusal({"LAUNCHER_QQQQQQ": "1"})


def test_the_mark_of_an_instance_is_no_setting() -> None:
    config = load({"LAUNCHER_INSTANCE_MARK": "default:abc"}, None, {})
    assert config.instance == "default" and "LAUNCHER_INSTANCE_MARK" not in config.standard


def test_paths_start_from_where_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "conf").mkdir()
    dotenv = tmp_path / "conf" / "my.env"
    dotenv.write_text("HF_HOME=hub\nTORCH_HOME=~/torch\nLAUNCHER_DATA_DIR=../data\n")
    config = load({"NUMBA_CACHE_DIR": "numba"}, Path("conf/my.env"), {})
    assert config.data_dir == tmp_path / "data" and config.dotenv_path == dotenv
    assert config.standard["HF_HOME"] == str(tmp_path / "conf" / "hub")
    assert config.standard["TORCH_HOME"] == str(tmp_path / "home" / "torch")
    assert config.standard["NUMBA_CACHE_DIR"] == str(tmp_path / "numba")
    assert load({}, Path("conf/my.env"), {"LAUNCHER_DATA_DIR": "here"}).data_dir == tmp_path / "here"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become somebody without home")
def test_without_a_home_there_is_no_default_folder() -> None:
    program = (
        "import os, platformdirs, platformdirs.unix, launcher.config.sources, ipaddress, difflib\n"
        "from pathlib import Path; os.setuid(54321); load = launcher.config.sources.load\n"
        "print(load({}, None, {'LAUNCHER_DATA_DIR': '/data'}).data_dir)\n"
        "try: load({}, None, {})\n"
        "except launcher.config.sources.ConfigError as error: print(error)\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd="/",
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    data_dir, said = result.stdout.splitlines()
    assert data_dir == "/data" and "LAUNCHER_DATA_DIR has no default" in said, result.stderr


def test_a_vanished_current_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "current folder" in refusal()


def test_users_open_a_network_as_a_token_does_and_their_tokens_are_masked() -> None:
    users = f"alice:{TOKEN},bob:{TOKEN[::-1]}"
    config = load({"LAUNCHER_HOST": "0.0.0.0", "LAUNCHER_USERS": users}, None, {})
    assert config.user_tokens == (("alice", TOKEN), ("bob", TOKEN[::-1]))
    assert config.allowed_hosts == ("*",)
    assert TOKEN not in repr(config) + str(config.values)


@pytest.mark.parametrize(
    "users",
    ["alice", "alice:short", f"Alice:{TOKEN}", f"token:{TOKEN}", f"a:{TOKEN},a:{TOKEN}x", f"a:{TOKEN},b:{TOKEN}"],
)
def test_bad_users_are_refused_without_showing_a_token(users: str) -> None:
    said = refusal({"LAUNCHER_USERS": users})
    assert "LAUNCHER_USERS" in said and TOKEN not in said


def test_insecure_is_said_and_lets_names_of_other_sites_stay_out() -> None:
    config = load({"LAUNCHER_HOST": "0.0.0.0", "LAUNCHER_INSECURE": "yes"}, None, {})
    assert any("lets everybody in" in warning for warning in config.warnings)
    assert "*" not in config.allowed_hosts and "<address>" in config.allowed_hosts
    assert "*" in refusal({"LAUNCHER_INSECURE": "yes", "LAUNCHER_ALLOWED_HOSTS": "*"})


def test_a_certificate_needs_its_key() -> None:
    assert "LAUNCHER_TLS_KEY" in refusal({"LAUNCHER_TLS_CERT": "/tls/cert.pem"})
    assert load({"LAUNCHER_TLS_CERT": "a.pem", "LAUNCHER_TLS_KEY": "b.pem"}, None, {}).scheme == "https"


@pytest.mark.parametrize("key", [key for key in KEYS if key.example], ids=lambda key: key.name)
def test_every_example_is_a_good_value(key: object) -> None:
    name, example = key.name, key.example  # type: ignore[attr-defined]
    pair = {"LAUNCHER_TLS_CERT": "/tls/cert.pem", "LAUNCHER_TLS_KEY": "/tls/key.pem"}  # one alone is refused
    config = load({**pair, "LAUNCHER_TOKEN": TOKEN, name: example}, None, {})
    assert source_of(config, name) == "environment"
