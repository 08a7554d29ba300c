"""The configuration: precedence, checks, spellings, and its file form."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_core.base.errors import ConfigError, RecipeError
from arc_core.base.options import Setting, settings_of
from arc_core.pipeline.config import PipelineConfig
from arc_core.run.config import TrainConfig
from arc_core.run.presets import PRESETS
from arc_core.run.recipes import declaration_of, known_config, read_config
from arc_core.run.resolving import resolve, to_toml

SETTINGS = settings_of(PipelineConfig)
COMMON = settings_of(TrainConfig)


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _values(setting: Setting) -> st.SearchStrategy:
    text = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1).filter(lambda t: t != "none")
    strategies = {
        bool: st.booleans(),
        int: st.integers(int(setting.low or 0), int(setting.high or 10)),
        float: st.floats(setting.low, setting.high, allow_nan=False),
        str: st.sampled_from(setting.choices) if setting.choices else text,
    }
    strategy = strategies[setting.kind]
    return st.none() | strategy if setting.optional else strategy


def _made(values: dict[str, object]) -> PipelineConfig:
    apart = {"validate_on": "none"} if values.get("keep_away") else {}  # with it few are allowed
    return PipelineConfig.from_mapping(values | apart)


configs = st.fixed_dictionaries({}, optional={s.name: _values(s) for s in SETTINGS.values()}).map(_made)


@given(configs)
def test_toml_round_trips_every_configuration(config: PipelineConfig):
    values = tomllib.loads(to_toml(config))
    own = values.pop(config.recipe)
    assert list(values) == list(COMMON)
    assert [*values, *own] == list(SETTINGS)
    assert PipelineConfig.from_mapping(values | own) == config


@given(configs)
def test_run_json_form_round_trips_every_configuration(config: PipelineConfig):
    assert PipelineConfig.from_mapping(config.to_dict()) == config


def test_resolving_the_printed_configuration_gives_the_same_one(tmp_path: Path):
    config = resolve({"preset": "seed", "max_batches": "7", "device": "cuda:1"})
    assert resolve({}, _file(tmp_path, to_toml(config))) == config


def test_every_option_is_explained_above_its_key():
    lines = to_toml(PipelineConfig()).splitlines()
    for setting in SETTINGS.values():
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{setting.name} = "))
        assert lines[at - 2] == f"# {setting.help}"
        assert lines[at - 1] == f"# May be {setting.allowed()}."


def test_flag_wins_over_file_over_preset_over_default(tmp_path: Path):
    file = _file(tmp_path, 'preset = "seed"\nepochs = 3\nagent-lr = 0.5\n')
    config = resolve({"epochs": "4"}, file)
    assert (config.epochs, config.agent_lr, config.batch_size, config.hidden_dim) == (4, 0.5, 1, 256)
    assert (config.preset, config.lm) == ("seed", PRESETS["seed"]["lm"])


def test_preset_of_a_flag_wins_over_preset_of_the_file(tmp_path: Path):
    config = resolve({"preset": "tiny"}, _file(tmp_path, 'preset = "seed"\n'))
    assert (config.preset, config.lm, config.batch_size) == ("tiny", "tiny", 32)


def test_seed_preset_is_the_seeds_command():
    config = resolve({"preset": "seed"})
    assert (config.planner, config.hidden_dim, config.schedule) == ("seed", 256, "constant")
    assert (config.epochs, config.agent_lr, config.qwen_lr, config.seed) == (20, 1e-4, 1e-4, 42)
    assert (config.lm, config.batch_size, config.optimizer) == ("Qwen/Qwen2.5-1.5B", 1, "adam")
    assert (config.weight_decay, config.checkpoint_every, config.keep_checkpoints) == (1e-6, 50, 5)


def test_hyphens_and_underscores_name_the_same_option():
    assert resolve({"agent-lr": "0.5"}) == resolve({"agent_lr": "0.5"})


@pytest.mark.parametrize(
    ("key", "near"),
    [("agent_lrr", "agent_lr"), ("max-batch", "max_batches"), ("lambda_size_", "lambda_size")],
)
def test_unknown_key_names_the_nearest_right_one(key: str, near: str):
    with pytest.raises(ConfigError, match=rf"There is no setting {key}; did you mean {near}\?"):
        resolve({key: "1"})


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("epochs", 0, "epochs is 0, but must be a whole number from 1 to 1000000."),
        ("epochs", True, "epochs is true, but must be a whole number"),
        ("epochs", 2.0, "epochs is 2.0, but must be a whole number"),
        ("epochs", None, 'epochs is "none", but must be a whole number'),
        ("agent_lr", float("nan"), "agent_lr is nan, but must be a number from 0 to 1."),
        ("agent_lr", 10**400, "agent_lr is 1000"),
        ("augment", 1, "augment is 1, but must be true or false."),
        ("lm_train", "all", 'lm_train is "all", but must be full, lora or frozen.'),
        ("device", "cuda:x", 'device is "cuda:x", but must be auto, cpu or cuda, or cuda:N.'),
        ("dataset", "a\x1b[31m", r"dataset is \"a\\x1b\[31m\", but must be text."),
        ("max_pairs", -1, 'max_pairs is -1, but must be a whole number from 1 to 1000000000, or "none".'),
    ],
)
def test_refusal_names_key_value_and_what_is_allowed(key: str, value: object, sentence: str):
    with pytest.raises(ConfigError, match=f"^{sentence}"):
        PipelineConfig.from_mapping({key: value})


def test_text_of_the_command_line_becomes_typed():
    config = resolve({"max_batches": "none", "augment": "off", "agent_lr": "1", "small_cells": "9"})
    assert (config.max_batches, config.augment, config.agent_lr, config.small_cells) == (None, False, 1.0, 9)


def test_construction_and_replacement_check_values():
    with pytest.raises(ConfigError):
        PipelineConfig(batch_size=0)
    with pytest.raises(ConfigError):
        replace(PipelineConfig(), clip_norm=0.0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epochs =\n", "line 1: this is not TOML"),
        ("\n\nepochs = 1\nepochs = 2\n", "line 4: this is not TOML"),
        ("\nepochs = 'x'\n", 'line 2: epochs is "x", but must be'),
        ("agent-lr = 1\nagent_lr = 1\n", "line 2: agent_lr is given twice"),
        ("[lm]\nname = 'x'\n", "line 1: lm is"),
        ("epochs = " + "1" * 5000, "not TOML"),
        ("a = " + "[" * 5000, "nested too deeply|not TOML"),
    ],
)
def test_bad_config_file_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str):
    with pytest.raises(ConfigError, match=rf"c\.toml.*({sentence})"):
        resolve({}, _file(tmp_path, text))


def test_missing_and_binary_config_files_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="Cannot read the config file"):
        resolve({}, tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"epochs = 1\n\xff")
    with pytest.raises(ConfigError, match="line 2: the file is not UTF-8"):
        resolve({}, tmp_path / "b.toml")


def test_validation_is_limited_to_64_inputs_when_batches_are():
    assert PipelineConfig().validation_limit is None
    assert PipelineConfig(max_batches=5).validation_limit == 64
    assert PipelineConfig(max_batches=5, validation_inputs=9).validation_limit == 9


@pytest.mark.parametrize("flags", [{"recipe": "solver"}, {"recipe": "solver", "preset": "solver"}])
def test_the_recipe_that_is_gone_is_refused_with_what_has_its_settings(
    tmp_path: Path, flags: dict[str, object]
):
    with pytest.raises(RecipeError, match=r"^The recipe solver is the recipe pipeline by now: --preset"):
        resolve(flags)
    with pytest.raises(RecipeError, match=r"c\.toml, line 2: The recipe solver is the recipe pipeline"):
        resolve({}, _file(tmp_path, '\nrecipe = "solver"\n'))


def test_a_run_stores_every_setting_and_it_is_read_back():
    solver = resolve({"preset": "solver"})
    assert isinstance(solver, PipelineConfig)
    assert read_config({"config": solver.to_dict()}) == solver


def test_what_earlier_versions_kept_of_the_recipe_that_is_gone_is_passed_over(tmp_path: Path):
    older = {"agent_options": None, "extra_data": None} | PipelineConfig(lambda_risk=2.0, epochs=3).to_dict()
    assert read_config({"config": older}) == PipelineConfig(lambda_risk=2.0, epochs=3)
    assert resolve({}, _file(tmp_path, 'agent_options = "none"\n')) == resolve({})
    with pytest.raises(ConfigError, match="There is no setting lambda_riks; did you mean lambda_risk"):
        read_config({"config": older | {"lambda_riks": 1.0}})
    with pytest.raises(ConfigError, match="agent_options context_dim=8 is not there any more"):
        resolve({"agent_options": "context_dim=8"})


def test_a_run_of_the_recipe_that_is_gone_is_not_gone_on_with_and_says_what_trained_it():
    older = {"config": {"recipe": "solver", "agent_options": None}, "versions": {"arc-tui": "0.7.1"}}
    with pytest.raises(RecipeError, match=r"^The run was trained .* of arc-tui 0\.7\.1 \(commit unknown"):
        read_config(older)
    assert known_config(older["config"]) == TrainConfig(recipe="solver")
    assert "loss.efe_total" in declaration_of(older).names
