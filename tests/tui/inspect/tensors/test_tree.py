"""The tree of names, and finding in it."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspect_files import table_of

from arc_core.base.errors import ConfigError
from arc_tui.inspect.tensors.search import Finder, parse_query
from arc_tui.inspect.tensors.tree import Node, Tree, natural

LAYERS = {f"model.layers.{i}.{name}.weight": (2, i % 1 + 3) for i in range(12) for name in ("attn", "mlp")}
NAMES = {"model.embed.weight": (5, 2), "model.norm": (2,), **LAYERS, "head": (5,)}


def labels(tree: Tree, node: Node) -> list[str]:
    return [child.label for child in tree.children(node)]


def child(tree: Tree, node: Node, label: str) -> Node:
    return next(found for found in tree.children(node) if found.label == label)


def test_layers_that_are_alike_are_one_node_in_counting_order():
    tree = Tree(table_of(NAMES))
    assert labels(tree, tree.root) == ["head", "model"]
    model = child(tree, tree.root, "model")
    assert labels(tree, model) == ["embed.weight", "layers.0..11", "norm"]
    layers = child(tree, model, "layers.0..11")
    assert (layers.tensors, layers.parameters, layers.bytes) == (24, 24 * 6, 24 * 24)
    assert labels(tree, layers) == [str(i) for i in range(12)]
    assert labels(tree, tree.children(layers)[10]) == ["attn.weight", "mlp.weight"]


def test_a_layer_of_another_shape_ends_the_range():
    tree = Tree(table_of({f"l.{i}.w": (3,) if i == 4 else (2,) for i in range(8)}))
    assert labels(tree, tree.children(tree.root)[0]) == ["0..3", "4.w", "5..7"]


def test_a_missing_layer_ends_the_range():
    tree = Tree(table_of({f"l.{i}.w": (2,) for i in (0, 1, 3)}))
    assert labels(tree, tree.children(tree.root)[0]) == ["0..1", "3.w"]


def test_a_module_may_also_be_a_tensor():
    tree = Tree(table_of({"a": (1,), "a.b": (2,), "a-c": (3,), "a.b.c": (4,)}))
    assert sorted(labels(tree, tree.root)) == ["a", "a", "a-c"]
    assert tree.root.parameters == 10


PARTS = st.sampled_from(["a", "b", "0", "1", "2", "10", "", "/", "-", "é", "layers"])


@given(names=st.sets(st.lists(PARTS, min_size=1, max_size=4).map(".".join), max_size=40))
def test_every_tensor_is_in_the_tree_once_and_sums_add_up(names: set[str]):
    table = table_of({name: (number % 3, 2) for number, name in enumerate(sorted(names))})
    tree = Tree(table)
    assert sorted(tree.places_in_order()) == list(range(len(names)))

    def check(node: Node) -> None:
        below = tree.children(node)
        if not node.is_tensor:
            assert node.tensors == sum(one.tensors for one in below)
            assert node.bytes == sum(one.bytes for one in below)
            assert sorted(tree.places_below(node)) == sorted(
                p for one in below for p in tree.places_below(one)
            )
        assert node.bytes == int(table.bytes[tree.places_below(node)].sum())
        for one in below:
            check(one)

    check(tree.root)


def test_numbers_in_names_count():
    assert sorted(["l10", "l2", "l", "2", "10"], key=natural) == ["2", "10", "l", "l2", "l10"]


def found(text: str) -> list[str]:
    table = table_of(NAMES)
    return [table.names[place] for place in Finder(table).find(parse_query(text))]


def test_words_match_in_any_place_and_whole_parts_come_first():
    assert found("attn 11") == ["model.layers.11.attn.weight"]
    assert found("norm") == ["model.norm"]
    assert found("lyrs7mlp") == ["model.layers.7.mlp.weight"]
    assert found("1")[0] == "model.layers.1.mlp.weight"
    assert found("nothing-like-it") == []


def test_conditions_on_type_and_size():
    assert found("type:f32 size>39") == ["model.embed.weight"]
    assert found("type:float32 size<10") == ["model.norm"]
    assert found("type:bf16") == []
    assert len(found("")) == len(NAMES)


def test_condition_on_content_needs_statistics():
    table = table_of(NAMES)
    odd = Finder(table, lambda place: frozenset({"nan"}) if place == 3 else frozenset())
    assert odd.find(parse_query("has:nan")) == [3]
    assert odd.find(parse_query("has:nan has:inf")) == []
    assert Finder(table).find(parse_query("has:nan")) == []


@pytest.mark.parametrize("text", ["type:f33", "size>x", "has:zeros", "size<", "type:"])
def test_wrong_condition_says_which_there_are(text: str):
    with pytest.raises(ConfigError, match=r"there are"):
        parse_query(text)


@given(text=st.text(max_size=40))
def test_any_text_is_a_query_or_refused(text: str):
    query = None
    with contextlib.suppress(ConfigError):
        query = parse_query(text)
    if query is None:
        assert "type:" in text.lower() or "size" in text.lower() or "has:" in text.lower()
        return
    assert query.is_empty == (not text.split())
    Finder(table_of(NAMES)).find(query)


def test_places_of_a_part_of_the_table_only():
    table = table_of(NAMES)
    tree = Tree(table, [place for place, name in enumerate(table.names) if "layers.3" in name])
    assert tree.root.tensors == 2
    assert np.array(tree.places_in_order()).size == 2


@given(names=st.sets(st.lists(PARTS, min_size=1, max_size=4).map(".".join), max_size=30))
def test_order_of_tensors_is_that_of_the_opened_tree(names: set[str]):
    table = table_of(dict.fromkeys(names, (2,)))
    tree = Tree(table)

    def shown(node: Node) -> list[int]:
        if node.place is not None:
            return [node.place]
        return [place for child in tree.children(node) for place in shown(child)]

    if not any(f"{name}." in other for name in names for other in names):  # a tensor that is a module too
        assert tree.places_in_order() == shown(tree.root)
