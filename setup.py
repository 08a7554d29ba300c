"""What pyproject.toml cannot say: packages that are found, beside one whose files lie in `themes`."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["arc_core*", "arc_tui*"]), "arc_tui._themes"])
