"""The recipes by name: the built-in ones, those of installed packages, and classes named by their module.

Only what is asked for is imported, and of the built-in recipes' configurations nothing imports torch.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from arc_core.base.errors import ConfigError, RecipeError
from arc_core.base.loose import mapping
from arc_core.base.options import Setting, settings_of
from arc_core.base.text import printable
from arc_core.run.config import TrainConfig, own_settings
from arc_core.run.presets import PIPELINE, RECIPES, SOLVER, TRACK

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from arc_core.run.declared import Declared

GROUP = "arc_tui.recipes"
"""The group of entry points by which installed packages offer recipes."""

ORIGIN = "recipe_from"
"""The key of run.json that says where a recipe that is not built in comes from."""

RECIPE = "arc_core.training.recipe:Recipe"
"""What every recipe's class is made from."""

_CONFIGS = {PIPELINE: "arc_core.pipeline.config:PipelineConfig"}
_CLASSES = {PIPELINE: "arc_core.pipeline.recipe:PipelineRecipe"}
_DECLARED_BY: dict[str, str] = dict.fromkeys((PIPELINE, SOLVER), "arc_core.pipeline.declared:declared_by")

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def recipe_names() -> list[str]:
    """List the recipes that have a name here: the built-in ones, then those of installed packages."""
    from importlib.metadata import entry_points  # here, as few commands need it

    return [*RECIPES, *sorted({entry.name for entry in entry_points(group=GROUP)} - set(RECIPES))]


def is_reference(name: str) -> bool:
    """Whether a recipe is named as package.module:Class."""
    return _REFERENCE.fullmatch(name) is not None


def config_class(name: str) -> type[TrainConfig]:
    """Return the class of a recipe's configuration.

    Raises:
        RecipeError: As `recipe_class` does, and if the recipe's `Config` is no such class.
    """
    if name in _CONFIGS:
        return _load(_CONFIGS[name])
    found = getattr(recipe_class(name), "Config", None)
    if not isinstance(found, type) or not issubclass(found, TrainConfig):
        raise RecipeError(f"The recipe {_shown(name)} has a Config that is not made from TrainConfig.")
    if "__dataclass_fields__" not in vars(found):
        raise RecipeError(f"The Config of the recipe {_shown(name)} must be a frozen dataclass.")
    try:
        settings_of(found)
    except ConfigError as error:
        raise RecipeError(f"The Config of the recipe {_shown(name)} cannot be used: {error}") from None
    return found


def recipe_class(name: str) -> type[Any]:
    """Import a recipe's class.

    Args:
        name: Of a built-in recipe, of an installed package's, or package.module:Class.

    Raises:
        RecipeError: If there is none of that name, it cannot be imported, or it is no recipe.
    """
    reference = _CLASSES.get(name) or _reference(name)
    try:
        found = _load(reference)
    except Exception as error:
        what = printable(f"{type(error).__name__}: {error}", 300).rstrip(".")
        raise RecipeError(f"The recipe {_shown(name)} cannot be imported: {what}.") from error
    if not isinstance(found, type) or not issubclass(found, _load(RECIPE)):
        raise RecipeError(
            f"{_shown(reference)} is no recipe: that is a class made from {RECIPE.replace(':', '.')}."
        )
    return found


def origin_of(name: str) -> dict[str, str] | None:
    """Return where a recipe comes from, for run.json: its class, and its package where that is known.

    None for a built-in recipe, and for one that is not here.
    """
    if name in RECIPES:
        return None
    if is_reference(name):
        return {"class": name}
    entry = _entry_point(name)
    if entry is None:
        return None
    package = {} if entry.dist is None else {"package": entry.dist.name, "version": entry.dist.version}
    return {"class": f"{entry.module}:{entry.attr}", **package}


def built_in_settings() -> dict[str, Setting]:
    """List every setting of any built-in recipe by name."""
    return {
        name: setting for recipe in RECIPES for name, setting in settings_of(_load(_CONFIGS[recipe])).items()
    }


def known_class(stored: Mapping[str, object]) -> type[TrainConfig]:
    """Return the class of a stored configuration as far as it is known without importing any package.

    Of a recipe that is not built in it is the one of what every run has.
    """
    recipe = stored.get("recipe", PIPELINE)
    return config_class(recipe) if isinstance(recipe, str) and recipe in RECIPES else TrainConfig


def known_config(stored: Mapping[str, object]) -> TrainConfig:
    """Return a stored configuration as those have it who only look on, of the class `known_class`.

    Raises:
        ConfigError: If a value is refused.
    """
    kind = known_class(stored)
    return kind.from_mapping({k: v for k, v in stored.items() if k in settings_of(kind)})


def owners_of(option: str) -> list[str]:
    """Return the built-in recipes that have an option of their own by that name."""
    return [recipe for recipe in RECIPES if option in own_settings(config_class(recipe))]


def read_config(run_json: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration that run.json holds as its recipe's own class has it.

    Raises:
        ConfigError: If there is none, a setting is unknown, or a value is refused.
        RecipeError: As `config_class` does; tells of what package and class the recipe was.
    """
    stored = mapping(run_json, "config")
    if stored is None:
        raise ConfigError("it holds no config.")
    recipe = stored.get("recipe", PIPELINE)
    if recipe == TRACK:
        raise RecipeError(
            "The run is trained by a program of its own: start that again, with resume=True, to go on."
        )
    if recipe == SOLVER:
        version = (mapping(run_json, "versions") or {}).get("arc-tui", "of before")
        commit = str((mapping(run_json, "git") or {}).get("revision", "unknown"))[:7]
        raise RecipeError(
            f"The run was trained by the recipe solver of arc-tui {printable(str(version), 40)} (commit "
            f"{printable(commit)}), which is gone: export its weights, or begin a new run by --preset solver."
        )
    try:
        kind = config_class(recipe) if isinstance(recipe, str) else TrainConfig
    except RecipeError as error:
        origin = mapping(run_json, ORIGIN) or {}
        from_ = [str(origin[key]) for key in ("package", "version", "class") if key in origin]
        told = f" from {printable(' '.join(from_), 200)}" if from_ else ""
        raise RecipeError(f"The run cannot be trained without its recipe{told}: {error}") from error
    return kind.from_mapping(stored)


def declaration_of(run_json: Mapping[str, Any]) -> Declared:
    """Return what the steps of a run carry, without importing anything of a recipe that is not built in.

    Args:
        run_json: What its run.json holds. Runs of earlier versions hold no declaration: theirs is that of
            their recipe. That of a run of another recipe whose process has not noted it yet is empty.
    """
    # Here, as those who only settle a configuration need no declaration.
    from arc_core.run.declared import Declared
    from arc_core.run.declared_json import DECLARED, declared_from_json

    stored = declared_from_json(run_json.get(DECLARED))
    if stored is not None:
        return stored
    config = mapping(run_json, "config") or {}
    found = _DECLARED_BY.get(str(config.get("recipe", PIPELINE)))
    return Declared() if found is None else _load(found)(config)


def _reference(name: str) -> str:
    if is_reference(name):
        return name
    entry = _entry_point(name)
    if entry is None and name == SOLVER:
        raise RecipeError(
            "The recipe solver is the recipe pipeline by now: --preset solver has its settings."
        )
    if entry is None:
        raise RecipeError(
            f"There is no recipe {_shown(name)}; there are {', '.join(recipe_names())}, and any class as "
            "package.module:Class."
        )
    return f"{entry.module}:{entry.attr}"


def _entry_point(name: str) -> EntryPoint | None:
    from importlib.metadata import entry_points  # as in `recipe_names`

    return next(iter(entry_points(group=GROUP, name=name)), None)


def _load(reference: str) -> Any:
    module, _, name = reference.partition(":")
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return cast(Any, found)


def _shown(name: str) -> str:
    return printable(name, 60)
