"""Settles a configuration, and writes one as a config file.

Where several sources name an option, a flag wins over the config file, the file over the preset, and the
preset over the default.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from arc_core.base.config_file import ConfigFile, read_config_file
from arc_core.base.errors import ConfigError, RecipeError
from arc_core.base.options import Setting, Value, canonical, settings_of, unknown_key
from arc_core.base.paths import expanded, full_path, name_or_full_path
from arc_core.base.text import printable
from arc_core.run.config import LAUNCH_OPTIONS, TrainConfig, own_settings
from arc_core.run.presets import PIPELINE, PRESETS, RECIPES
from arc_core.run.recipes import config_class, is_reference, owners_of, recipe_names


def launch_options(flags: Mapping[str, object], file: Path | None) -> TrainConfig:
    """Settle how a run is started: flag, then config file, then default; all else keeps its default.

    Raises:
        ConfigError: As `resolve` does.
    """
    return TrainConfig.from_mapping(_common(flags, file, LAUNCH_OPTIONS))


def resolve(flags: Mapping[str, object], file: Path | None = None) -> TrainConfig:
    """Settle every option of a new run: flag, then config file, then preset, then default.

    Args:
        flags: Values of the command line, typed or as text; only those that were given.
        file: A TOML config file. A preset or recipe that it names counts unless a flag names another.

    Returns:
        An object of the class of its recipe.

    Raises:
        ConfigError: If the file cannot be read, an option is not one of the recipe, or any value is refused.
        RecipeError: If there is no such recipe, or it cannot be used.
    """
    asked = _common(flags, file, ("preset", "recipe"))
    preset = PRESETS[cast(str, asked.get("preset", TrainConfig().preset))]
    recipe = cast(str, asked.get("recipe", PIPELINE))
    if "preset" not in asked and recipe != PIPELINE:
        preset = {}  # nobody asked for it, and it is of another recipe
    values = explicit_values(flags, file, recipe)
    kind = config_class(recipe)
    known = settings_of(kind)
    own = {name: value for name, value in preset.items() if name in known}
    return kind.from_mapping(own | {"recipe": recipe} | values)


def explicit_values(flags: Mapping[str, object], file: Path | None, recipe: str) -> dict[str, Value]:
    """Return what the user asked for by name, paths absolute: the file's values with the flags over them.

    Args:
        flags: As `resolve` takes them.
        file: As `resolve` takes it.
        recipe: What is trained.

    Raises:
        ConfigError: As `resolve` does; what stands in the file is refused with file and line.
        RecipeError: As `resolve` does.
    """
    read = None if file is None else read_config_file(file)
    try:
        kind = config_class(recipe)
    except RecipeError as error:
        if read is None or read.values.get("recipe") != recipe or "recipe" in flags:
            raise
        raise RecipeError(f"{read.place('recipe')}: {error}") from error.__cause__
    values = {} if read is None else _values_of(read, kind, recipe)
    for key in flags:
        if canonical(key) not in _names_of(kind):
            raise _not_an_option(key, kind, recipe)
    return values | _checked(flags, kind, text=True)


def to_toml(config: TrainConfig) -> str:
    """Write a config file that `resolve` reads back to the same configuration, every key explained."""
    own = own_settings(type(config))
    common = [setting for name, setting in settings_of(type(config)).items() if name not in own]
    lines = ["# arc-tui: every option, resolved. Leave a key out to take the preset's value."]
    lines += _explained(config, common)
    if own:
        lines += ["", f"# Options of the recipe {config.recipe}.", f"[{_key(config.recipe)}]"]
        lines += _explained(config, own.values())
    return "\n".join(lines) + "\n"


def _common(flags: Mapping[str, object], file: Path | None, names: Iterable[str]) -> dict[str, Value]:
    """Return those of some common options that are given by name."""
    wanted = set(names)
    values: dict[str, Value] = {}
    if file is not None:
        read = read_config_file(file)
        for key in filter(lambda key: canonical(key) in wanted, read.values):
            with _placed(read, key):
                values |= _checked({key: read.values[key]}, TrainConfig)
    given = {key: value for key, value in flags.items() if canonical(key) in wanted}
    return values | _checked(given, TrainConfig, text=True)


def _values_of(file: ConfigFile, kind: type[TrainConfig], recipe: str) -> dict[str, Value]:
    """Return what a file says to a run of a recipe: at the top, and in the recipe's own table."""
    known, values = _names_of(kind), dict[str, Value]()
    tables: list[str] = []
    for key, value in file.values.items():
        name = canonical(key)
        if isinstance(value, dict) and (name not in known or key in recipe_names()):
            tables.append(key)
            continue
        with _placed(file, key):
            if name in known:
                _add(values, _checked({key: value}, kind))
            else:
                raise _not_an_option(key, kind, recipe)
    for table in tables:
        with _placed(file, table):
            _refuse_unless_recipe(table, kind, recipe)
        if table in (*RECIPES, recipe):
            own = _values_of_table(file, table, kind if table == recipe else config_class(table), values)
            values |= own if table == recipe else {}
    return values


def _values_of_table(
    file: ConfigFile, table: str, kind: type[TrainConfig], above: Mapping[str, Value]
) -> dict[str, Value]:
    """Return what the table of a recipe says, of whose class `kind` is."""
    own, values = _names_of(kind), dict[str, Value]()
    for key, value in cast("dict[str, Any]", file.values[table]).items():
        with _placed(file, key, table):
            name = canonical(key)
            if name in settings_of(TrainConfig):
                raise ConfigError(f"{name} is an option of every recipe: give it above all tables.")
            if name not in own:
                raise _not_an_option(key, kind, table, f"this is the table of {table}")
            _add(values, _checked({key: value}, kind), above)
    return values


def _names_of(kind: type[TrainConfig]) -> set[str]:
    """What may be given by name, settings of earlier versions among them."""
    return {*settings_of(kind), *kind.retired}


def _add(values: dict[str, Value], new: dict[str, Value], above: Mapping[str, Value] | None = None) -> None:
    if twice := new.keys() & (values.keys() | (above or {}).keys()):
        raise ConfigError(f"{min(twice)} is given twice.")
    values |= new


def _refuse_unless_recipe(table: str, kind: type[TrainConfig], recipe: str) -> None:
    if table in (*RECIPES, recipe) or is_reference(table) or table in recipe_names():
        return
    if owners_of(canonical(table)):
        raise _not_an_option(table, kind, recipe)
    raise unknown_key(table, [*settings_of(kind), *recipe_names()], "setting or recipe")


def _checked(
    values: Mapping[str, object], kind: type[TrainConfig], *, text: bool = False
) -> dict[str, Value]:
    """Check values by name, and make their paths full."""
    return {
        name: _with_full_path(settings_of(kind)[name], value)
        for name, value in kind.checked(values, text=text).items()
    }


def _with_full_path(setting: Setting, value: Value) -> Value:
    if not isinstance(value, str):
        return value
    if setting.path:
        return name_or_full_path(value, setting.names) if setting.names else str(full_path(value))
    # The folder of runs is needed where the command is given alone.
    return str(expanded(value)) if setting.name == "runs_dir" else value


def _not_an_option(key: str, kind: type[TrainConfig], recipe: str, where: str | None = None) -> ConfigError:
    """Build the refusal of an option that a recipe does not have: names those that have it."""
    name = canonical(key)
    owners = owners_of(name) or [other for other in recipe_names() if _is_of_package(name, other)]
    if not owners:
        return unknown_key(key, settings_of(kind))
    recipes = f"recipe{'s' if len(owners) > 1 else ''} {' and '.join(owners)}"
    where = where or f"this run has the recipe {printable(recipe, 60)}"
    return ConfigError(f"{name} is an option of the {recipes}; {where}.")


def _is_of_package(option: str, recipe: str) -> bool:
    """Whether a recipe of an installed package has an option of its own; False where it cannot be used."""
    if recipe not in RECIPES:
        with contextlib.suppress(RecipeError):
            return option in own_settings(config_class(recipe))
    return False


@contextlib.contextmanager
def _placed(file: ConfigFile, key: str, table: str | None = None) -> Iterator[None]:
    """Tell of what is refused where it stands."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{file.place(key, table)}: {error}") from None


def _explained(config: TrainConfig, settings: Iterable[Setting]) -> list[str]:
    lines: list[str] = []
    for setting in settings:
        value = _toml(getattr(config, setting.name))
        lines += ["", f"# {setting.help}", f"# May be {setting.allowed()}.", f"{setting.name} = {value}"]
    return lines


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _toml(value: Value) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else repr(value)
