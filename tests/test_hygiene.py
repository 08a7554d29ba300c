"""What the sources never do, held on to by reading and importing them."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import arc_core
from arc_core.evaluation.supervising import SOLVING
from arc_tui.commands.groups import COMMANDS, INSPECT, QUEUE
from arc_tui.runs.engine import Program

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / "arc_core").rglob("*.py"), *(ROOT / "arc_tui").rglob("*.py")])
NAMES = [path.relative_to(ROOT).as_posix() for path in SOURCES]

PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
BANNED_MODULES = PICKLES | {"multiprocessing"}
BANNED_ATTRIBUTES = {
    ("torch", "load"),
    ("torch", "save"),
    ("torch", "hub"),
    ("os", "system"),
    ("os", "popen"),
}
BANNED_CALLS = {"eval", "exec", "compile", "__import__", "globals"}
BANNED_KEYWORDS = {"trust_remote_code", "allow_pickle", "shell"}
NAMES_A_SHELL = "get_completion_script"
"""Typer's function, whose keyword `shell` is the name of one to complete for: nothing is run."""

SEED_NAMES = {
    "QwenHybridPrompt",
    "ARCPromptGuidedAgentGPU",
    "EFELoss",
    "PolicyRefinedConfig",
    "PolicyRefinedAgent",
    "PermanentSolver",
    "ModelPersistence",
    "SizeWarmupCurriculum",
    "DynamicMemoryThreshold",
    "GradientMonitor",
    "ARCDataset",
}


OWN_LOOP = {"TrainerCallback", "check_recipe", "track"}
"""The doors for training loops that are not ours."""


def violations(source: str) -> list[str]:
    """What a source does that none may do, each with its line."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [(node.lineno, a.name) for a in names if a.name.split(".")[0] in BANNED_MODULES]
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] in BANNED_MODULES:
                    found.append((node.lineno, module))
                found += [
                    (node.lineno, f"{module}.{a.name}")
                    for a in names
                    if (module, a.name) in BANNED_ATTRIBUTES
                ]
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if (
                name,
                attribute,
            ) in BANNED_ATTRIBUTES:
                found.append((node.lineno, f"{name}.{attribute}"))
            case ast.Call(func=ast.Name(id=name)) if name in BANNED_CALLS:
                found.append((node.lineno, name))
            case _:
                pass
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                named = keyword.arg == "shell" and getattr(node.func, "id", None) == NAMES_A_SHELL
                if keyword.arg in BANNED_KEYWORDS and not off and not named:
                    found.append((node.lineno, str(keyword.arg)))
    return [f"line {line}: {what}" for line, what in sorted(found)]


ASKED_IN_ONE_PLACE = {
    *("is_dir", "is_file", "exists", "is_symlink", "samefile", "resolve", "expanduser", "home"),
    *("iterdir", "glob", "rglob"),
}
"""Methods of a path that raise for a closed folder or too long a name; `arc_core.base.paths` does not."""


def asked_elsewhere(source: str) -> list[str]:
    """What a source asks of a path itself rather than of `arc_core.base.paths`, each with its line."""
    found = [
        (node.lineno, node.func.attr)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ASKED_IN_ONE_PLACE
        and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "glob")
    ]
    return [f"line {line}: {what}" for line, what in sorted(found)]


def undocumented(source: str) -> list[str]:
    """Public modules, classes and functions of a source without a docstring."""
    tree = ast.parse(source)
    missing = [] if ast.get_docstring(tree) or not tree.body else ["the module"]
    pending: list[tuple[str, ast.AST]] = [("", tree)]
    while pending:
        prefix, parent = pending.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.If | ast.Try):
                pending.append((prefix, node))
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                missing.append(f"{prefix}{node.name}")
            if isinstance(node, ast.ClassDef):
                pending.append((f"{prefix}{node.name}.", node))
    return missing


FOR_OTHERS = {
    *("check_gradients", "compute_reward", "save_checkpoint", "load_checkpoint"),
    *("read_events", "drop_superseded", "validate_event"),
    *("style_names", "PipelineRecipe", "TrainedModels", "train_under"),
}
"""Public names that nothing of ours calls: methods of the seed's classes, the plain way to read a run's log
and check its events, the names that a theme has a style for, the recipe, which is found by name, what others
make theirs of, and what a process is started with."""

FRAMEWORK = re.compile(
    r"(__\w+__|on_\w+|action_\w+|compose|discover|(format|list)_commands|forward|get_\w+|render_line)$"
)
"""Functions and methods that Python, Textual or torch call by their name."""


def defined(tree: ast.Module) -> set[str]:
    """Public functions, classes and constants of a module and methods of its classes, as far as we call them.

    What is decorated may be called by its decorator; only properties are taken along.
    """
    found: set[str] = set()
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for node in [*tree.body, *(each for parent in classes for each in parent.body)]:
        match node:
            case (
                ast.FunctionDef(name=name, decorator_list=decorators)
                | ast.AsyncFunctionDef(name=name, decorator_list=decorators)
            ) if {ast.unparse(each) for each in decorators} <= {"property", "classmethod", "staticmethod"}:
                found.add(name)
            case ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if (
                node in tree.body
            ):
                found.add(name)
            case _:
                pass
    return {name for name in found if not name.startswith("_") and not FRAMEWORK.match(name)}


def used(tree: ast.Module) -> set[str]:
    """Names that a module reads; to import one, or to list it in `__all__`, is no use of it."""
    names = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_source_has_no_pickle_no_foreign_code_and_no_fork(path: Path):
    assert violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_everything_public_says_what_it_is(path: Path):
    assert undocumented(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_file_system_is_asked_in_one_place_which_never_raises(path: Path):
    if path != ROOT / "arc_core" / "base" / "paths.py":
        assert asked_elsewhere(path.read_text(encoding="utf-8")) == []


def test_scan_finds_what_asks_a_path_itself():
    asking = "Path('x').is_dir()\nrun.path.exists()\nfor p in folder.glob('*'): ...\nPath.home()"
    assert [line.split()[-1] for line in asked_elsewhere(asking)] == ["is_dir", "exists", "glob", "home"]
    assert asked_elsewhere("is_dir(path)\nglob.glob('x')\npath.lstat()") == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import multiprocessing.pool",
        "from pickle import loads",
        "from torch import load",
        "import torch\ntorch.save({}, 'x')",
        "numpy.load('x', allow_pickle=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=trusted)",
        "subprocess.run('ls', shell=True)",
        "eval('1')",
        "exec('x = 1')",
    ],
)
def test_scan_finds_what_is_banned(source: str):
    assert len(violations(source)) == 1


def test_scan_leaves_alone_what_only_looks_banned():
    source = "model.eval()\nsafetensors.torch.load_file('x')\nre.compile('x')\nf(trust_remote_code=False)"
    assert violations(source) == []


def test_nothing_public_is_used_by_tests_alone():
    tables = (COMMANDS, INSPECT, QUEUE)
    commands = {
        place.split(":")[1] for table in tables for under in table.values() for place, _ in under.values()
    }
    users = [ast.parse(path.read_text("utf-8")) for path in [*SOURCES, *(ROOT / "benchmarks").glob("*.py")]]
    known = set().union(*map(used, users)) | SEED_NAMES | OWN_LOOP | FOR_OTHERS | commands
    unused = {
        name: sorted(names)
        for name, path in zip(NAMES, SOURCES, strict=True)
        if (names := defined(ast.parse(path.read_text("utf-8"))) - known)
    }
    assert unused == {}


def test_scan_finds_what_nothing_uses():
    source = "def f(): ...\nclass C:\n    x: int\n    def g(self): ...\n    @on(K)\n    def h(self): ..."
    assert defined(ast.parse(source + "\nD = f()")) == {"C", "D", "f", "g"}
    assert used(ast.parse("from m import A\nB.c = D\nE = 1")) == {"B", "c", "D"}


def test_scan_finds_what_is_undocumented():
    source = '"""Doc."""\nclass A:\n    """Doc."""\n    def f(self): ...\n    def _g(self): ...\ndef h(): ...'
    assert undocumented(source) == ["h", "A.f"]


@pytest.mark.parametrize(
    "module",
    [
        *(
            "run.events",
            "run.commands",
            "run.directory",
            "run.checkpoint_index",
            "run.config",
            "data.dataset",
            "data.features",
            "run.provenance",
        ),
        *("evaluation.folder", "evaluation.pipeline_start"),
    ],
)
def test_boundary_is_imported_without_torch(module: str):
    script = (
        f"import sys, arc_core.{module}\n"
        "heavy = {'torch', 'transformers', 'safetensors', 'textual', 'rich', 'typer'} & set(sys.modules)\n"
        "sys.exit(f'imports {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_modules_that_run_as_processes_exist_and_are_named_in_one_place_of_each_package():
    texts = {name: path.read_text("utf-8") for name, path in zip(NAMES, SOURCES, strict=True)}
    started = [name for name, text in texts.items() if re.search(r'"-m", (?!"pip")', text)]
    assert started == [
        "arc_core/evaluation/supervising.py",
        "arc_core/training/launching.py",
        "arc_tui/runs/engine.py",
    ]
    assert all(importlib.util.find_spec(program) for program in (SOLVING, *Program))


def test_public_names_are_the_seeds_and_two_doors_and_can_be_imported():
    assert set(arc_core.__all__) == SEED_NAMES | OWN_LOOP
    for name in SEED_NAMES | OWN_LOOP:
        assert getattr(arc_core, name).__name__ == name
    with pytest.raises(AttributeError, match="NoSuchName"):
        arc_core.NoSuchName  # noqa: B018


def test_no_file_of_tests_has_more_than_500_lines():
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in ROOT.glob("tests/**/*.py")}
    assert {name: length for name, length in lengths.items() if length > 500} == {}


def test_no_public_class_name_is_defined_twice():
    places: dict[str, list[str]] = {}
    for name, path in zip(NAMES, SOURCES, strict=True):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_architecture_names_files_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:arc_core|arc_tui|docs|tests|themes)/[\w./-]*)`", text))
    assert len(named) > 40
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
