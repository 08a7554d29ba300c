"""Archives of generated pairs, laid out as RE-ARC's."""

import json
import zipfile

PAIRS = [{"input": [[1, 2]], "output": [[3]]}, {"input": [[4]], "output": [[5, 6]]}]


def make_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return path
