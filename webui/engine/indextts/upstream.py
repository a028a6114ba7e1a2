"""Upstream's own classes: found, imported without side effects, and built from local files alone.

Two packages and the official checkout are known; they differ in names and in a few arguments, which `Upstream` says.
Invariants: no code of upstream is changed on disk; what is put in its place while a class is built goes back
afterwards; the environment after an import is what it was before; no hub is asked for anything.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from launcher.errors import EngineError
from webui.engine.indextts.files import BIGVGAN, CAMPPLUS, MASKGCT, QWEN_DIR, W2V_BERT, FoundFiles
from webui.engine.indextts.kernels import Kernel
from webui.engine.indextts.options import Placement
from webui.engine.indextts.text_emotion import LazyTextEmotion

#: Tells the Hub's libraries that there is no network; read at their import.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "USE_MODELSCOPE": "false",
}


@dataclass(frozen=True)
class Upstream:
    """Where a class is and what is special about it.

    Attributes:
        engine: registry name.
        module: that defines ``IndexTTS2``.
        distribution: on the package index; empty: a checkout.
        half: precision that it has besides fp32.
        peak: value of its loudest sample.
        transformers: versions below this one work; empty: any.
    """

    engine: str
    module: str
    distribution: str
    half: str
    peak: float
    transformers: str = ""


PACKAGE_2 = Upstream("indextts2", "indextts.infer_v2", "indextts2-inference", "fp16", 1.0, "5.18")
PACKAGE_2_5 = Upstream("indextts2.5", "indextts25.infer_v2_5", "indextts25-inference", "bf16", 32767.0)
CHECKOUT_2 = Upstream("indextts2", "indextts.infer_v2", "", "fp16", 32767.0)
CHECKOUT_2_5 = Upstream("indextts2.5", "indextts.infer_v2_5", "", "bf16", 32767.0)


def find_upstream(engine: str, engine_dir: Path | None) -> Upstream:
    """Which class to use.

    Raises:
        EngineError: when it is not installed, not in the checkout, or beside a package that it does not work with.
    """
    version_2 = engine == "indextts2"
    if engine_dir is not None:
        found = CHECKOUT_2 if version_2 else CHECKOUT_2_5
        file = engine_dir / f"{found.module.replace('.', '/')}.py"
        if not file.is_file():
            raise EngineError(
                f"{engine_dir} is no checkout of {engine}: it has no {file.relative_to(engine_dir)}.",
                fix="Set LAUNCHER_ENGINE_DIR to the folder of index-tts, or leave it empty to use the package.",
            )
        return found
    found = PACKAGE_2 if version_2 else PACKAGE_2_5
    if importlib.util.find_spec(found.module.partition(".")[0]) is None:
        raise EngineError(
            f"{found.distribution} is not installed in {sys.executable}.",
            fix=f"Install it: tts-launcher engine install {engine}.",
        )
    _check_transformers(found)
    return found


def _check_transformers(found: Upstream) -> None:
    if not found.transformers:
        return
    try:
        version = importlib.metadata.version("transformers")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if not numbers or numbers >= tuple(int(part) for part in found.transformers.split(".")):
        raise EngineError(
            f"{found.distribution} does not work with transformers {version} (below {found.transformers} it does).",
            fix=f"Install the versions that fit: tts-launcher engine install {found.engine} --reinstall.",
        )


def version_of(found: Upstream) -> str:
    """The installed version; ``checkout`` for one."""
    return importlib.metadata.version(found.distribution) if found.distribution else "checkout"


def import_class(found: Upstream, engine_dir: Path | None) -> Any:
    """The class, imported with the environment put back and the Hub's libraries offline.

    Raises:
        EngineError: when a package is missing or does not load.
    """
    with _environment_put_back():
        if engine_dir is not None and str(engine_dir) not in sys.path:
            sys.path.insert(0, str(engine_dir))
        try:
            import huggingface_hub.constants as hub

            hub.HF_HUB_OFFLINE = True
            return importlib.import_module(found.module).IndexTTS2
        except (ImportError, OSError, AttributeError) as error:
            raise EngineError(
                f"{found.distribution or engine_dir} cannot be imported: {str(error).splitlines()[0][:200]}.",
                fix=f"Install its environment anew: tts-launcher engine install {found.engine} --reinstall.",
            ) from error


@contextmanager
def _environment_put_back() -> Iterator[None]:
    """The environment as it was, but offline: upstream moves the Hub's cache to a relative folder at import."""
    os.environ.update(_OFFLINE)
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@dataclass(frozen=True)
class Plan:
    """Everything that building takes.

    Attributes:
        upstream: what is built.
        files: where the checkpoints are.
        layout: the folder of links (`webui.engine.indextts.files.lay_out`).
        placement: device and precision.
        kernel: BigVGAN's own for the card; ``None``: do without.
    """

    upstream: Upstream
    files: FoundFiles
    layout: Path
    placement: Placement
    kernel: Kernel | None = None


def build(engine_class: Any, plan: Plan) -> Any:
    """Builds the class by its own constructor.

    Raises:
        Exception: whatever the constructor raises.
    """
    known = inspect.signature(engine_class.__init__).parameters
    with ExitStack() as stack:
        for module, name, value in _stand_ins(plan):
            stack.enter_context(_replaced(module, name, value))
        has_kernel = plan.kernel is not None and stack.enter_context(plan.kernel.in_place())
        given = _arguments(plan, has_kernel)
        return engine_class(**{name: value for name, value in given.items() if name in known})


def _arguments(plan: Plan, has_kernel: bool) -> dict[str, object]:
    return {
        "model_dir": str(plan.layout),
        "cfg_path": str(_config(plan)),
        "device": plan.placement.device,
        "use_fp16": plan.placement.half,
        "use_bf16": plan.placement.half,
        "use_cuda_kernel": has_kernel,
        "language": "zh",  # its grammar alone is built now; the other one when a text needs it
        "use_qwen_emo": plan.placement.text_emotion and plan.files.qwen_dir is not None,
    }


def _config(plan: Plan) -> Path:
    """``config.yaml`` with the vocoder's local folder in place of its name on the Hub."""
    from omegaconf import OmegaConf

    config: Any = OmegaConf.load(plan.files.folder / "config.yaml")
    if "vocoder" in config:
        config.vocoder.name = str(plan.files.folders[BIGVGAN])
    if "qwen_emo_path" in config:
        config.qwen_emo_path = QWEN_DIR
    path = plan.layout / "config.local.yaml"
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    OmegaConf.save(config, fresh)
    fresh.replace(path)
    return path


def _stand_ins(plan: Plan) -> Iterator[tuple[Any, str, Any]]:
    """What upstream finds in its own modules while it is built: (module, name, value)."""
    module = sys.modules[plan.upstream.module]
    local = _LocalHub(plan.files)
    if hasattr(module, "QwenEmotion"):
        yield module, "QwenEmotion", partial(LazyTextEmotion, make=module.QwenEmotion)
    if hasattr(module, "hf_hub_download"):
        yield module, "hf_hub_download", local.download
    for owner in (module, sys.modules.get(f"{module.__name__.partition('.')[0]}.utils.maskgct_utils")):
        for name in ("SeamlessM4TFeatureExtractor", "Wav2Vec2BertModel"):
            if owner is not None and hasattr(owner, name):
                yield owner, name, _Local(getattr(owner, name), local.folder)


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


class _LocalHub:
    """Answers with the files that were found, in place of the Hub."""

    def __init__(self, files: FoundFiles) -> None:
        self._files = files

    def folder(self, repo: str) -> str:
        """The folder of a repository; a folder's own path is left alone."""
        return str(self._files.folders[repo]) if repo in self._files.folders else repo

    def download(self, repo: str, filename: str, **_arguments: Any) -> str:
        """The path of a file of one of the known repositories."""
        if repo not in (W2V_BERT, CAMPPLUS, MASKGCT, BIGVGAN, self._files.needed.repo):
            raise EngineError(f"upstream asks for {repo}/{filename}, which is not among the files of this model.")
        return str(self._files.folders[repo] / filename)


class _Local:
    """A class of transformers whose ``from_pretrained`` reads a local folder."""

    def __init__(self, real: Any, folder: Callable[[str], str]) -> None:
        self._real = real
        self._folder = folder

    def from_pretrained(self, name: str, *arguments: Any, **options: Any) -> Any:
        """As the class does it, from the local folder of ``name``."""
        return self._real.from_pretrained(self._folder(str(name)), *arguments, **{**options, "local_files_only": True})

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._real(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def keep_grammars_in(folder: Path, upstream: Upstream, tell: Callable[[str], None]) -> None:
    """Makes the package's text normaliser keep what it builds in ``folder``, not beside its code or at home.

    Args:
        folder: for grammars; made when it is not there.
        upstream: whose.
        tell: told the language before a grammar is built, which takes up to 80 s (Spanish).
    """
    folder.mkdir(parents=True, exist_ok=True)
    package = upstream.module.partition(".")[0]
    own: Any = sys.modules.get(f"{package}.utils.nemo_tn")
    if own is not None and hasattr(own, "_CACHE_DIR"):
        own._CACHE_DIR = str(folder)
        if hasattr(own, "_build_normalizer"):
            own._build_normalizer = _telling(own._build_normalizer, folder, tell)
    front: Any = sys.modules.get(f"{package}.utils.front")
    normalizer = getattr(front, "TextNormalizer", None)
    if hasattr(normalizer, "_get_nemo_normalizer"):
        _redirect_grammars(normalizer, folder, tell)


def _telling(build: Any, folder: Path, tell: Callable[[str], None]) -> Any:
    """Wraps what builds a grammar or reads it, so that somebody hears of the building."""
    real = getattr(build, "real", build)

    def told(language: str, *options: Any) -> Any:
        if not any(folder.glob(f"{language}[-_]*")):
            tell(language)
        return real(language, *options)

    told.real = real  # type: ignore[attr-defined]
    return told


def _redirect_grammars(normalizer: Any, folder: Path, tell: Callable[[str], None]) -> None:
    """Wraps the method that names the folder of grammars, so that NeMo is given ours."""
    real = getattr(normalizer._get_nemo_normalizer, "real", normalizer._get_nemo_normalizer)

    def get(self: Any, language: str) -> Any:
        nemo: Any = importlib.import_module("nemo_text_processing.text_normalization.normalize")
        make = nemo.Normalizer
        with _replaced(nemo, "Normalizer", lambda **options: make(**{**options, "cache_dir": str(folder)})):
            return _telling(lambda name: real(self, name), folder, tell)(language)

    get.real = real  # type: ignore[attr-defined]
    normalizer._get_nemo_normalizer = get
