"""A tiny recursive model as a recipe of arc-tui."""

from recursive_planner.recipe import RecursivePlanner as RecursivePlanner
