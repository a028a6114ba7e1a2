"""The settings with standard names: where libraries keep their files, and how the network is reached.

Invariant: every one of them goes to the children as it is.
"""

from __future__ import annotations

from launcher.config import parsers
from launcher.config.key import Key


def _cache(name: str, folder: str, english: str, chinese: str) -> Key:
    return Key(name, "", english, chinese, f"~/cache/{folder}", is_path=True, default_note=f"DATA/cache/{folder}")


CACHES = (
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
NETWORK = (
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
