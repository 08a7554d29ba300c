"""The names of size rules, where naming them needs no numpy."""

SIZE_RULES = ("same", "constant", "ratio", "other")
"""How a task's output sizes follow from its input sizes, the first that holds for all demonstrations."""
