"""`python -m arc_core RUN_DIR`: the training process of one run."""

import sys
from pathlib import Path

from arc_core.base.environment import prepare

if __name__ == "__main__":
    prepare()
    from arc_core.process import main

    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) == 2 else None))
