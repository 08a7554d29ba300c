"""Recipes by name: built in, of an installed package, and named by their module."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from foreign_recipe import NAME, PACKAGE, REFERENCE, install

from arc_core.base.errors import ConfigError, RecipeError
from arc_core.base.options import settings_of
from arc_core.pipeline.config import PipelineConfig
from arc_core.run.config import TrainConfig
from arc_core.run.directory import config_of, create_run
from arc_core.run.provenance import describe_run
from arc_core.run.recipes import config_class, known_config, recipe_class, recipe_names
from arc_core.run.resolving import resolve, to_toml


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an installed package that has a recipe."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(install(folder)))
    monkeypatch.delitem(sys.modules, "tiny_planner", raising=False)
    return folder


def gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uninstall the package."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(folder)])
    monkeypatch.delitem(sys.modules, "tiny_planner", raising=False)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_built_in_recipe_has_its_class():
    assert config_class("pipeline") is recipe_class("pipeline").Config is PipelineConfig


def test_configurations_of_built_in_recipes_are_known_without_torch():
    script = (
        "import sys\nfrom arc_core.run.resolving import resolve\n"
        "resolve({'recipe': 'pipeline'}), resolve({'preset': 'solver'})\n"
        "heavy = {'torch', 'transformers', 'numpy', 'importlib.metadata'} & set(sys.modules)\n"
        "sys.exit(f'imports {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("installed")
def test_a_recipe_is_found_by_its_entry_point_and_by_its_class():
    assert recipe_names() == ["pipeline", NAME]
    assert recipe_class(NAME) is recipe_class(REFERENCE)
    assert list(settings_of(config_class(NAME)))[-4:] == ["ema", "ema_lr", "width", "words"]
    assert config_class("tiny_planner:Plain") is TrainConfig


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing", "There is no recipe nothing; there are pipeline, planner, and any class as"),
        ("a.b", "There is no recipe a.b; there are"),
        ("no.such:Thing", "The recipe no.such:Thing cannot be imported: ModuleNotFoundError: No module"),
        ("tiny_planner:Planer", "The recipe tiny_planner:Planer cannot be imported: AttributeError: "),
        ("tiny_planner:Stranger", "tiny_planner:Stranger is no recipe: that is a class made from"),
        ("tiny_planner:MODULE", "The recipe tiny_planner:MODULE cannot be imported"),
        ("json:loads", "json:loads is no recipe"),
        ("tiny_planner:NoConfig", "The recipe tiny_planner:NoConfig has a Config that is not made from"),
        ("tiny_planner:Undecorated", "The Config of the recipe tiny_planner:Undecorated must be a frozen"),
        (
            "tiny_planner:Unmade",
            "The Config of the recipe tiny_planner:Unmade cannot be used: The setting ema",
        ),
    ],
)
def test_what_is_no_recipe_is_refused_in_one_sentence(name: str, sentence: str):
    with pytest.raises(RecipeError, match=f"^{sentence}") as refused:
        config_class(name)
    assert "\n" not in str(refused.value)


def test_a_module_that_fails_is_refused_with_what_it_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "broken_recipe.py").write_text("x = 1\nraise OSError('no\\x1b[31m disk')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        RecipeError, match=r"^The recipe broken_recipe:X cannot be imported: OSError: no\\x1b"
    ):
        recipe_class("broken_recipe:X")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", [NAME, REFERENCE])
def test_a_foreign_recipes_configuration_is_settled_written_and_read_back(tmp_path: Path, name: str):
    config: Any = resolve({"recipe": name, "ema": "0.5", "words": "w.txt", "epochs": "3"})
    assert (type(config).__name__, config.recipe) == ("PlannerConfig", name)
    assert (config.ema, config.epochs, config.words) == (0.5, 3, str(Path.cwd() / "w.txt"))
    text = to_toml(config)
    assert ("[planner]" if name == NAME else '["tiny_planner:Planner"]') in text.splitlines()
    assert resolve({}, written(tmp_path, text)) == config
    run = create_run(tmp_path, "a", describe_run(config, []))
    assert config_of(run) == config


@pytest.mark.usefixtures("installed")
def test_run_json_says_what_package_a_recipe_is_of(tmp_path: Path):
    origin = describe_run(resolve({"recipe": NAME}), [])["recipe_from"]
    assert origin == {"class": REFERENCE, "package": PACKAGE, "version": "0.1"}
    assert describe_run(resolve({"recipe": REFERENCE}), [])["recipe_from"] == {"class": REFERENCE}
    assert "recipe_from" not in describe_run(resolve({}), [])


def test_a_run_whose_package_is_gone_is_still_known_and_cannot_be_trained(
    tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
):
    config = resolve({"recipe": NAME, "epochs": 7})
    run = create_run(tmp_path, "a", describe_run(config, []))
    gone(installed, monkeypatch)
    with pytest.raises(
        RecipeError, match=f"without its recipe from {PACKAGE} 0.1 {REFERENCE}: There is no recipe {NAME}; "
    ):
        config_of(run)
    known = known_config(run.read()["config"])
    assert (type(known), known.epochs, known.recipe) == (TrainConfig, 7, NAME)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"ema_lr": 0.5}, "ema_lr is an option of the recipe planner; this run has the recipe pipeline."),
        ({"recipe": NAME, "lm": "tiny"}, "lm is an option of the recipe pipeline; this run has"),
        ({"recipe": NAME, "hidden_dim": 8}, "hidden_dim is an option of the recipe pipeline; "),
        ({"recipe": NAME, "emma": 8}, "There is no setting emma; did you mean ema?"),
        ({"recipe": NAME, "ema": "2"}, "ema is 2.0, but must be a number from 0 to 1."),
    ],
)
def test_an_option_that_a_recipe_does_not_have_is_refused_with_those_that_have_it(
    flags: dict[str, object], sentence: str
):
    with pytest.raises(ConfigError) as refused:
        resolve(flags)
    assert str(refused.value).startswith(sentence)


@pytest.mark.usefixtures("installed")
def test_only_the_table_of_the_runs_recipe_applies(tmp_path: Path):
    file = written(
        tmp_path,
        "epochs = 3\nmax_steps = 4\n[planner]\nema = 0.5\n[pipeline]\nqwen_lr = 0.5\n"
        '["other.package:Class"]\nanything = "goes"\n',
    )
    pipeline = resolve({}, file)
    assert isinstance(pipeline, PipelineConfig)
    assert (pipeline.epochs, pipeline.max_steps, pipeline.qwen_lr) == (3, 4, 0.5)
    assert pipeline.hidden_dim == 48
    with pytest.raises(ConfigError, match="line 2: max_steps is an option of the recipe pipeline"):
        resolve({"recipe": NAME}, file)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("text", ["decay = 0.5", "[planner]\ndecay = 0.5"])
def test_a_retired_option_of_a_package_is_passed_over_at_what_is_left_of_it(tmp_path: Path, text: str):
    assert resolve({"recipe": NAME}, written(tmp_path, text)) == resolve({"recipe": NAME, "decay": "0.5"})
    with pytest.raises(ConfigError, match=r"decay 0\.6 is not there any more: this version has decay 0\.5"):
        resolve({"recipe": NAME}, written(tmp_path, text.replace("0.5", "0.6")))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_steps = 4\n\n[pipeline]\nmax_steps = 4", "line 4: max_steps is given twice"),
        ("[pipeline]\nmax_steps = 4\nmax-steps = 4", "line 3: max_steps is given twice"),
        ("[pipeline]\nmax_step = 4", "line 2: There is no setting max_step; did you mean max_steps"),
        ("lm = 'a'\n[pipeline]\n  lm = 1", "line 3: lm is 1, but must be text"),
        (
            "recipe = 'planner'\n[planner]\nlm = 'a'",
            "line 3: lm is an option of the recipe pipeline; this",
        ),
        ("[pipeline]\nhidden_dim = 1", "line 2: hidden_dim is 1, but must be a whole number from 2"),
        ("[pipeline]\nepochs = 1", "line 2: epochs is an option of every recipe: give it above all tables"),
        ("[solver]\nlm = 'a'", "line 1: There is no setting or recipe solver"),
        ("[pipelin]\nlm = 'a'", "line 1: There is no setting or recipe pipelin; did you mean pipeline"),
        ("recipe = 'planner'\n[lm]\na = 1", "line 2: lm is an option of the recipe pipeline; this run has"),
        ("epochs = 1\nrecipe = 'nothing'", "line 2: There is no recipe nothing; there are pipeline, planner"),
        ("recipe = 'planner'\n[planner]\nema = 3", "line 3: ema is 3, but must be a number from 0 to 1"),
        ("pipeline.lm = 3", "line 1: lm is 3, but must be text"),
        ("epochs = 1\npipeline = {lm = 3}", "line 2: lm is 3, but must be text"),
        ("ema_lr = 0.5", "line 1: ema_lr is an option of the recipe planner; this run has the recipe"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str):
    with pytest.raises((ConfigError, RecipeError), match=rf"c\.toml, {sentence}"):
        resolve({}, written(tmp_path, text))


@pytest.mark.usefixtures("installed")
def test_the_preset_that_nobody_asked_for_says_nothing_to_another_recipe():
    plain = config_class(NAME)()
    found = resolve({"recipe": NAME})
    assert (found.batch_size, found.epochs, found.schedule) == (
        plain.batch_size,
        plain.epochs,
        plain.schedule,
    )
