"""Coverage-guided fuzzing of the header parser, with atheris: `python fuzz_header.py -runs=1000000`.

Not a test: atheris is installed by whoever runs this, in an environment of its own. Whatever is not a header
must be refused by `DamagedHeader`; whatever is one must be JSON that says the same.
"""

import json
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[4]))
with atheris.instrument_imports():
    from arc_tui.inspect.tensors.header_scan import DamagedHeader, scan_header

SEEDS = (
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    '{"__metadata__":{"k":"v"},"b":{"shape":[2,3],"data_offsets":[0,12],"dtype":"BF16"}} ',
    "{}",
)


def one_input(raw: bytes) -> None:
    """Scan one input."""
    text = raw.decode("utf-8", "replace")
    try:
        table, _ = scan_header(text)
    except DamagedHeader:
        return
    content = json.loads(text)
    assert set(table.names) == content.keys() - {"__metadata__"}
    columns = zip(table.names, table.shapes, table.begins.tolist(), table.ends.tolist(), strict=True)
    for name, shape, begin, end in columns:
        assert content[name]["shape"] == list(shape)
        assert content[name]["data_offsets"] == [begin, end]


if __name__ == "__main__":
    corpus = Path(sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "corpus")
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(SEEDS):
        (corpus / f"seed{number}").write_text(seed)
    atheris.Setup([*sys.argv, str(corpus)], one_input)
    atheris.Fuzz()
