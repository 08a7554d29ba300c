"""What the training process wants of its libraries, which read it when they are loaded."""

import os


def prepare() -> None:
    """Set what nobody has set yet; before torch is imported.

    oneDNN compiles kernels for each canvas that it meets and keeps them, 0.2 MB each. A run's few canvases
    need about 2,600; its default of 1,024 compiles them again and again, and a bound keeps memory known.

    OpenMP's threads spin while they wait for each other, 300,000 turns by default. Beside anything else
    that wants the core, the thread that they wait for is not running, and spinning keeps it from running.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")
    if "OMP_WAIT_POLICY" not in os.environ:  # which the spin count would overrule
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
