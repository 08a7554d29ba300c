"""The GPUs of this machine: `python -m arc_core.evaluation.gpus cuda` names them, one a line."""

from __future__ import annotations

import sys

import torch

from arc_core.base.errors import ArcError, ConfigError
from arc_core.base.text import printable
from arc_core.evaluation.supervising import REFUSED


def find_gpus(asked: str) -> list[str]:
    """Return the GPUs that are meant, each as `cuda:N`.

    Args:
        asked: `cuda` for every GPU, `cuda:N` for one of them.

    Raises:
        ConfigError: If there is none, or none of that number.
    """
    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if not found:
        raise ConfigError(f"device {asked} is not here: torch sees no GPU; use --device cpu.")
    if asked == "cuda":
        return found
    if asked not in found:
        raise ConfigError(f"device {asked} is not here: torch sees {', '.join(found)}.")
    return [asked]


def main(arguments: list[str]) -> int:
    """Name the GPUs; 2 and a sentence on standard error where there are none."""
    try:
        sys.stdout.write("\n".join(find_gpus(arguments[0])) + "\n")
    except ArcError as error:
        sys.stderr.write(f"Error: {printable(str(error))}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
