"""What the training process wants of its libraries, which read it when they are loaded."""

import os


def prepare() -> None:
    """Set what nobody has set yet; before torch is imported.

    Convolutions compile a kernel for each grid size that they meet, and there are hundreds: oneDNN's cache
    of 1,024 is too small and compiles them again and again.

    OpenMP's threads spin while they wait for each other, 300,000 turns by default. Beside anything else
    that wants the core, the thread that they wait for is not running, and spinning keeps it from running.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "30000")
    if "OMP_WAIT_POLICY" not in os.environ:  # which the spin count would overrule
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
