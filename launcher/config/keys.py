"""Every setting there is, as one table: the parser, the default, and one line for people in two languages.

Invariants: `KEYS` is the only list of settings (.env.example and both pages of docs/configuration are made from it,
see `launcher.config.reference`); a ``LAUNCHER_`` key's name without the prefix, in lower case, is the attribute of
`launcher.config.Config`; every other key is a standard name, which the children get as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from launcher.config import mirror_list, parsers
from launcher.config.parsers import Parser

PREFIX = "LAUNCHER_"
#: Set by the supervisor for its children, so that a process can be recognised; never a setting.
INTERNAL_NAMES = frozenset({"LAUNCHER_INSTANCE_MARK"})


@dataclass(frozen=True)
class Key:
    """One setting.

    Attributes:
        name: as the environment and ``.env`` spell it.
        default: text that `parse` takes; empty when there is none or it depends on other settings.
        english, chinese: one line: what it does and in which unit.
        example: a value that may be copied.
        parse: from text to value.
        secret: never shown.
        is_path: made absolute before `parse`.
        path_suffix: text that ends so is a path even if not every value is.
        default_note: what happens without it, when ``default`` cannot say so.
        empty_counts: an empty value in the environment is a value.
    """

    name: str
    default: str
    english: str
    chinese: str
    example: str
    parse: Parser = parsers.text
    secret: bool = False
    is_path: bool = False
    path_suffix: str = ""
    default_note: str = ""
    empty_counts: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it is the launcher's own and no standard name."""
        return self.name.startswith(PREFIX)

    @property
    def attribute(self) -> str:
        """The attribute of `Config` that holds it; empty for a standard name."""
        return self.name.removeprefix(PREFIX).lower() if self.is_ours else ""


_OWN = (
    Key(
        "LAUNCHER_INSTANCE",
        "default",
        "Name of this instance; instances with different names run side by side.",
        "本实例的名称；名称不同的实例可以同时运行。",
        "studio",
        parsers.instance,
    ),
    Key(
        "LAUNCHER_HOST",
        "127.0.0.1",
        "Address to listen on; anything but loopback needs LAUNCHER_TOKEN.",
        "监听地址；除本机回环地址外都必须设置 LAUNCHER_TOKEN。",
        "0.0.0.0",
        parsers.host,
    ),
    Key(
        "LAUNCHER_PORT",
        "7860",
        "Port of the page and the API; auto takes a free one.",
        "页面与 API 的端口；auto 表示自动选择空闲端口。",
        "auto",
        parsers.port,
    ),
    Key(
        "LAUNCHER_TOKEN",
        "",
        "Secret that every visitor and program must give; at least 16 characters.",
        "访问页面和 API 所需的密钥，至少 16 个字符。",
        "",
        parsers.token,
        secret=True,
        default_note="none, which only loopback allows",
    ),
    Key(
        "LAUNCHER_ALLOWED_HOSTS",
        "",
        "Further host names that a request may carry, separated by commas; * allows any and needs LAUNCHER_TOKEN.",
        "请求中额外允许的主机名，用逗号分隔；* 表示全部允许，且必须设置 LAUNCHER_TOKEN。",
        "tts.example.org,10.0.0.5",
        parsers.allowed_hosts,
        default_note="loopback names and LAUNCHER_HOST",
    ),
    Key(
        "LAUNCHER_ROOT_PATH",
        "",
        "Path under which a reverse proxy shows the page.",
        "反向代理展示页面时使用的路径前缀。",
        "/tts",
        parsers.root_path,
        default_note="none",
    ),
    Key(
        "LAUNCHER_ENGINE",
        "auto",
        "Speech engine; auto takes the best one that is installed.",
        "语音引擎；auto 表示使用已安装的最佳引擎。",
        "kokoro",
        parsers.engine,
    ),
    Key(
        "LAUNCHER_DEVICE",
        "auto",
        "Where the engine computes: auto, cpu or cuda:N.",
        "引擎使用的设备：auto、cpu 或 cuda:N。",
        "cuda:0",
        parsers.device,
    ),
    Key(
        "LAUNCHER_THREADS",
        "0",
        "CPU threads of the engine; 0 lets it choose.",
        "引擎使用的 CPU 线程数；0 表示由引擎决定。",
        "2",
        parsers.whole_number(0, 1024),
    ),
    Key(
        "LAUNCHER_DATA_DIR",
        "",
        "The one persistent folder: caches, logs, run files.",
        "唯一的持久目录：缓存、日志和运行文件。",
        "~/tts",
        is_path=True,
        default_note="tts-launcher in the system's folder for user data",
    ),
    Key(
        "LAUNCHER_OPEN_BROWSER",
        "auto",
        "Open the page in a browser after start: auto (when there is a desktop), yes or no.",
        "启动后是否打开浏览器：auto（有桌面时打开）、yes 或 no。",
        "no",
        parsers.choice("auto", "yes", "no"),
    ),
    Key(
        "LAUNCHER_LOG_LEVEL",
        "info",
        "How much the logs hold: debug, info, warning or error.",
        "日志级别：debug、info、warning 或 error。",
        "debug",
        parsers.choice("debug", "info", "warning", "error"),
    ),
    Key(
        "LAUNCHER_LOG_MAX_BYTES",
        "10MB",
        "Size of one log file before the next one begins.",
        "单个日志文件的最大大小，超过后轮换。",
        "2MB",
        parsers.size_bytes(10_000, 10**10),
    ),
    Key(
        "LAUNCHER_LOG_FILES",
        "5",
        "How many log files are kept.",
        "保留的日志文件数量。",
        "3",
        parsers.whole_number(1, 100),
    ),
    Key(
        "LAUNCHER_STOP_GRACE_S",
        "10",
        "Seconds that a process gets to end by itself before it is killed.",
        "停止进程时的等待秒数，超时后强制结束。",
        "30",
        parsers.seconds(0, 600),
    ),
    Key(
        "LAUNCHER_RESTART_LIMIT",
        "5",
        "How often a crashed process is started again within LAUNCHER_RESTART_WINDOW_S; 0 never.",
        "在 LAUNCHER_RESTART_WINDOW_S 内自动重启崩溃进程的最多次数；0 表示不重启。",
        "3",
        parsers.whole_number(0, 1000),
    ),
    Key(
        "LAUNCHER_RESTART_WINDOW_S",
        "60",
        "Seconds over which crashes are counted.",
        "统计崩溃次数的时间窗口（秒）。",
        "300",
        parsers.seconds(1, 86_400),
    ),
    Key(
        "LAUNCHER_MAX_TEXT_CHARS",
        "20000",
        "Longest text of one request, in characters.",
        "单次请求的最大文本长度（字符）。",
        "5000",
        parsers.whole_number(1, 1_000_000),
    ),
    Key(
        "LAUNCHER_MAX_BODY_BYTES",
        "32MiB",
        "Largest body of one HTTP request.",
        "单个 HTTP 请求体的最大大小。",
        "8MiB",
        parsers.size_bytes(1024, 2**33),
    ),
    Key(
        "LAUNCHER_QUEUE_SIZE",
        "32",
        "Requests that may wait for the engine; one more is answered 429.",
        "可以排队等待引擎的请求数；超出时返回 429。",
        "8",
        parsers.whole_number(1, 10_000),
    ),
    Key(
        "LAUNCHER_MIRRORS",
        "",
        "Mirrors that models are fetched from: a list with options, or a .toml file; see docs/mirrors.md.",
        "下载模型使用的镜像站：带选项的列表或 .toml 文件；见 docs/mirrors.zh.md。",
        "builtin,https://mirror.example.org;weight=2",
        mirror_list.mirrors,
        path_suffix=".toml",
        default_note="DATA/mirrors.toml, HF_ENDPOINT, or the built-in list",
    ),
    Key(
        "LAUNCHER_ALLOW_HTTP_MIRRORS",
        "no",
        "Allow mirrors without encryption (http) beyond this machine: yes or no.",
        "是否允许使用本机以外的未加密（http）镜像站：yes 或 no。",
        "yes",
        parsers.choice("yes", "no"),
    ),
)


def _cache(name: str, folder: str, english: str, chinese: str) -> Key:
    return Key(name, "", english, chinese, f"~/cache/{folder}", is_path=True, default_note=f"DATA/cache/{folder}")


_CACHES = (
    _cache(
        "HF_HOME", "huggingface", "Hugging Face's folder: Hub files, tokens.", "Hugging Face 目录：模型文件与令牌。"
    ),
    _cache(
        "HF_HUB_CACHE", "huggingface/hub", "Models from the Hub; follows HF_HOME.", "Hub 模型缓存；默认随 HF_HOME。"
    ),
    _cache("HF_XET_CACHE", "huggingface/xet", "Xet's chunks; follows HF_HOME.", "Xet 数据块缓存；默认随 HF_HOME。"),
    _cache("TORCH_HOME", "torch", "PyTorch's downloads.", "PyTorch 下载缓存。"),
    _cache("TORCH_EXTENSIONS_DIR", "torch-extensions", "PyTorch's compiled extensions.", "PyTorch 编译的扩展。"),
    _cache("TRITON_CACHE_DIR", "triton", "Triton's compiled kernels.", "Triton 编译的内核。"),
    _cache("TORCHINDUCTOR_CACHE_DIR", "torch-inductor", "TorchInductor's compiled code.", "TorchInductor 编译结果。"),
    _cache("CUDA_CACHE_PATH", "cuda", "CUDA's compiled kernels.", "CUDA 编译的内核。"),
    _cache("MODELSCOPE_CACHE", "modelscope", "Models from ModelScope.", "ModelScope 模型缓存。"),
    _cache("NUMBA_CACHE_DIR", "numba", "Numba's compiled functions.", "Numba 编译的函数。"),
    _cache("MPLCONFIGDIR", "matplotlib", "Matplotlib's font cache.", "Matplotlib 字体缓存。"),
    Key(
        "NLTK_DATA",
        "",
        "NLTK's data; several folders as in PATH.",
        "NLTK 数据；多个目录的写法与 PATH 相同。",
        "/usr/share/nltk_data",
        default_note="DATA/cache/nltk",
    ),
    Key(
        "GRADIO_TEMP_DIR",
        "",
        "Gradio's uploads and generated files; made private (0700).",
        "Gradio 上传与生成的文件；仅本人可读（0700）。",
        "~/tts-uploads",
        is_path=True,
        default_note="DATA/instances/INSTANCE/tmp/gradio",
    ),
    Key(
        "TRANSFORMERS_CACHE",
        "",
        "Old name for old libraries; huggingface_hub reads HF_HUB_CACHE instead.",
        "旧库使用的旧名称；huggingface_hub 现在只读取 HF_HUB_CACHE。",
        "~/cache/huggingface/hub",
        is_path=True,
        default_note="not set",
    ),
)


def _proxy(name: str, english: str, chinese: str) -> Key:
    return Key(name, "", english, chinese, "http://127.0.0.1:7890", parsers.proxy, default_note="not set")


_NO_PROXY_ENGLISH = "Hosts reached without a proxy; this machine is always among them."
_NO_PROXY_CHINESE = "不经过代理的主机；本机始终包含在内。"
_NETWORK = (
    Key(
        "HF_ENDPOINT",
        "",
        "Address of the Hub or of a mirror.",
        "Hub 或镜像站的地址。",
        "https://hf-mirror.com",
        parsers.endpoint,
        default_note="https://huggingface.co",
    ),
    Key(
        "HF_TOKEN",
        "",
        "Access token of the Hub; it is sent to whatever HF_ENDPOINT names.",
        "Hub 访问令牌；会发送给 HF_ENDPOINT 指向的站点。",
        "",
        parsers.plain_secret,
        secret=True,
        default_note="not set",
    ),
    Key(
        "HF_HUB_OFFLINE",
        "",
        "1 keeps the Hub's library off the network.",
        "设为 1 时 Hub 库不访问网络。",
        "1",
        default_note="not set",
    ),
    Key(
        "HF_HUB_DISABLE_XET",
        "",
        "0 allows downloads over Xet, which mirrors do not carry.",
        "设为 0 时允许通过 Xet 下载；镜像站不支持 Xet。",
        "0",
        default_note="1",
    ),
    Key(
        "CUDA_VISIBLE_DEVICES",
        "",
        "GPUs that the engine may see; empty in the environment hides all.",
        "引擎可见的 GPU；在环境变量中设为空则全部隐藏。",
        "0",
        parsers.gpus,
        default_note="not set: all",
        empty_counts=True,
    ),
    _proxy("HTTP_PROXY", "Proxy for http addresses.", "http 地址使用的代理。"),
    _proxy("HTTPS_PROXY", "Proxy for https addresses.", "https 地址使用的代理。"),
    _proxy("ALL_PROXY", "Proxy for every address.", "所有地址使用的代理。"),
    Key("NO_PROXY", "", _NO_PROXY_ENGLISH, _NO_PROXY_CHINESE, "10.0.0.0/8,.lan", default_note="not set"),
    _proxy("http_proxy", "The same in lower case, as curl reads it.", "同上，小写形式（curl 使用）。"),
    _proxy("https_proxy", "The same in lower case.", "同上，小写形式。"),
    _proxy("all_proxy", "The same in lower case.", "同上，小写形式。"),
    Key("no_proxy", "", "The same in lower case.", "同上，小写形式。", "10.0.0.0/8,.lan", default_note="not set"),
)

KEYS: tuple[Key, ...] = _OWN + _CACHES + _NETWORK
KEYS_BY_NAME: dict[str, Key] = {key.name: key for key in KEYS}
