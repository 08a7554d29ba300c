"""`python -m arc_core RUN_DIR`: the training process of one run."""

import os
import sys
from pathlib import Path

# Convolutions compile a kernel for each grid size that they meet, and there are hundreds: the default
# cache of 1,024 is too small and compiles them again and again (measured: 40 pairs/s against 55).
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "30000")

if __name__ == "__main__":
    from arc_core.process import main

    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) == 2 else None))
