"""The prompt: what it is made of, and what must not matter to it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from arc_core.data.dataset import Example
from arc_core.data.tasks import Pair
from arc_core.pipeline.batch import Demonstrations, GridBatch, PromptInputs, prompt_inputs
from arc_core.pipeline.prompt import PromptPack, QwenHybridPrompt

DIM = 32
VIEWS = ("prompt_embedding", "control_vector", "text_embedding")
MakeExamples = Callable[..., list[Example]]


@pytest.fixture
def qwen() -> QwenHybridPrompt:
    prompt = QwenHybridPrompt("tiny", prompt_dim=DIM)
    torch.nn.init.normal_(prompt.demonstrations.nothing)  # as after some training
    return prompt


def inputs_of(examples: Sequence[Example]) -> PromptInputs:
    return prompt_inputs([e.context for e in examples], [e.input for e in examples])


def pair_of(examples: list[Example], index: int) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """An example as the seed's call takes it."""
    context = [(torch.tensor(p.input), torch.tensor(p.output)) for p in examples[index].context]
    return context, torch.tensor(examples[index].input)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for view in VIEWS:
        torch.testing.assert_close(found[view], expected[view], rtol=1e-5, atol=1e-5)


def test_the_seeds_call_gives_vectors_of_the_prompts_width(
    qwen: QwenHybridPrompt, make_examples: MakeExamples
) -> None:
    context, query = pair_of(make_examples(1), 0)
    pack = qwen(tr=context, inp=query, out=query, control_weight=0.5)
    assert set(pack) == set(VIEWS)
    assert {tuple(vector.shape) for vector in pack.values()} == {(DIM,)}
    assert {vector.dtype for vector in pack.values()} == {torch.float32}


def test_the_querys_output_is_ignored_to_the_bit(qwen: QwenHybridPrompt, make_examples: MakeExamples) -> None:
    context, query = pair_of(make_examples(1), 0)
    without = qwen(context, query)
    for output in (torch.zeros(1, 1), torch.full((30, 30), 9)):
        found = qwen(context, query, output)
        assert all(torch.equal(found[view], without[view]) for view in VIEWS)


def test_pairs_and_tuples_are_the_same_demonstrations(
    qwen: QwenHybridPrompt, make_examples: MakeExamples
) -> None:
    examples = make_examples(1)
    context, query = pair_of(examples, 0)
    assert_same(qwen(examples[0].context, query), qwen(context, query))


def test_a_batch_equals_its_singles(qwen: QwenHybridPrompt, make_examples: MakeExamples) -> None:
    examples = [
        *make_examples(2, context=2),
        *make_examples(2, seed=1, context=0),
        *make_examples(1, context=5),
    ]
    pack = qwen.encode(inputs_of(examples))
    for index in range(len(examples)):
        assert_same({view: getattr(pack, view)[index] for view in VIEWS}, qwen(*pair_of(examples, index)))


def test_the_demonstrations_order_does_not_matter(
    qwen: QwenHybridPrompt, make_examples: MakeExamples
) -> None:
    context, query = pair_of(make_examples(1, context=4), 0)
    assert_same(qwen(context[::-1], query), qwen(context, query))


def test_more_padding_and_what_stands_in_it_do_not_matter(
    qwen: QwenHybridPrompt, make_examples: MakeExamples
) -> None:
    inputs = inputs_of(make_examples(3))
    vectors = qwen.demonstrations(inputs)

    def pad(grids: GridBatch, colour: int) -> GridBatch:
        mask = torch.nn.functional.pad(grids.mask, (0, 5, 0, 2))
        cells = torch.nn.functional.pad(grids.cells, (0, 5, 0, 2))
        return GridBatch(torch.where(mask > 0, cells, colour), mask, grids.sizes)

    for colour in (0, 6):
        wider = replace(
            inputs,
            demonstrations=tuple(
                Demonstrations(pad(some.inputs, colour), pad(some.outputs, colour), some.owner)
                for some in inputs.demonstrations
            ),
        )
        torch.testing.assert_close(qwen.demonstrations(wider), vectors, rtol=1e-5, atol=1e-5)


def test_the_demonstrations_are_averaged(qwen: QwenHybridPrompt, make_examples: MakeExamples) -> None:
    (example,) = make_examples(1, context=3)
    contexts = [example.context, *([pair] for pair in example.context), example.context * 4]
    vectors = qwen.demonstrations(prompt_inputs(contexts, [example.input] * 5))
    torch.testing.assert_close(vectors[0], vectors[1:4].mean(dim=0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(vectors[4], vectors[0], rtol=1e-5, atol=1e-5)


def test_without_demonstrations_the_learned_vector_stands_in(
    qwen: QwenHybridPrompt, make_examples: MakeExamples
) -> None:
    empty, some = make_examples(2, context=0), make_examples(1, seed=1, context=2)
    alone, mixed = qwen.demonstrations(inputs_of(empty)), qwen.demonstrations(inputs_of([*empty, *some]))
    for row in (*alone, *mixed[:2]):
        assert torch.equal(row, qwen.demonstrations.nothing)
    assert not torch.equal(mixed[2], qwen.demonstrations.nothing)
    mixed[:2].sum().backward()
    assert (qwen.demonstrations.nothing.grad == 2.0).all()
    assert torch.isfinite(qwen([], torch.zeros(3, 3))["prompt_embedding"]).all()


@pytest.mark.parametrize("side", [0, 1])
def test_one_cell_of_one_demonstration_changes_the_prompt(
    qwen: QwenHybridPrompt, make_examples: MakeExamples, side: int
) -> None:
    context, query = pair_of(make_examples(1, context=3), 0)
    before = qwen(context, query)["prompt_embedding"]
    context[1][side][0, 0] = (context[1][side][0, 0] + 1) % 10
    assert not torch.allclose(qwen(context, query)["prompt_embedding"], before, atol=1e-4)


def test_where_a_demonstration_changes_what_it_shows_matters(qwen: QwenHybridPrompt) -> None:
    """Two tasks with the same features: the demonstrations tell them apart."""
    grid = np.zeros((5, 5), dtype=np.int8)
    outputs = [grid.copy() for _ in range(2)]
    outputs[0][1, 1] = outputs[1][3, 1] = 4
    query = np.zeros((5, 5), dtype=np.int8)
    inputs = prompt_inputs([[Pair(grid, output)] for output in outputs], [query, query])
    torch.testing.assert_close(inputs.features[0], inputs.features[1])
    vectors = qwen.demonstrations(inputs)
    assert not torch.allclose(vectors[0], vectors[1], atol=1e-4)


@pytest.mark.parametrize(("weight", "view"), [(0.0, "text_embedding"), (1.0, "control_vector")])
def test_the_control_weight_leads_from_language_to_numbers(
    qwen: QwenHybridPrompt, make_examples: MakeExamples, weight: float, view: str
) -> None:
    context, query = pair_of(make_examples(1), 0)
    pack = qwen(context, query, control_weight=weight)
    torch.testing.assert_close(pack["prompt_embedding"], pack[view])
    half = qwen(context, query, control_weight=0.5)
    torch.testing.assert_close(
        half["prompt_embedding"], 0.5 * (half["text_embedding"] + half["control_vector"])
    )


def test_concat_learns_the_mixture_of_both_views(make_examples: MakeExamples) -> None:
    qwen = QwenHybridPrompt("tiny", prompt_dim=DIM, fuse="concat")
    pack = qwen.encode(inputs_of(make_examples(2)))
    mixture = qwen.get_submodule("mixture")
    expected = torch.cat([pack.text_embedding, pack.control_vector], dim=-1) @ mixture.weight.T + mixture.bias
    torch.testing.assert_close(pack.prompt_embedding, expected)
    pack.prompt_embedding.square().sum().backward()
    assert mixture.weight.grad.norm() > 0


def test_another_fusion_is_refused() -> None:
    with pytest.raises(ValueError, match="'mean' or 'concat', not 'sum'"):
        QwenHybridPrompt("tiny", fuse="sum")


@pytest.mark.parametrize("fuse", ["mean", "concat"])
def test_gradient_reaches_every_part(make_examples: MakeExamples, fuse: str) -> None:
    qwen = QwenHybridPrompt("tiny", prompt_dim=DIM, fuse=fuse)
    examples = [*make_examples(2), *make_examples(1, seed=1, context=0)]
    pack: PromptPack = qwen.encode(inputs_of(examples))
    (pack.prompt_embedding * torch.randn(3, DIM)).sum().backward()
    for name, parameter in qwen.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.norm() > 0, name


def test_a_frozen_language_model_leaves_the_rest_to_learn(make_examples: MakeExamples) -> None:
    qwen = QwenHybridPrompt("tiny", prompt_dim=DIM, lm_train="frozen")
    pack = qwen.encode(inputs_of(make_examples(2)))
    (pack.prompt_embedding * torch.randn(2, DIM)).sum().backward()
    assert all(p.grad is None for p in qwen.language_model.parameters())
    assert all(p.grad.norm() > 0 for p in qwen.text.parameters())


def test_head_parameters_are_all_but_the_language_model(qwen: QwenHybridPrompt) -> None:
    head = {id(p) for p in qwen.head_parameters()}
    language = {id(p) for p in qwen.language_model.parameters()}
    assert not head & language
    assert head | language == {id(p) for p in qwen.parameters()}


def test_a_demonstration_without_output_is_refused() -> None:
    grid = np.zeros((2, 2), dtype=np.int8)
    with pytest.raises(ValueError, match="output"):
        prompt_inputs([[Pair(grid, None)]], [grid])


@pytest.mark.parametrize("train", ["full", "lora"])
def test_activations_that_are_computed_again_give_the_same_gradient_and_are_not_kept(train):
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        prompt = QwenHybridPrompt("tiny", prompt_dim=8, lm_train=train)
        if again:
            prompt.recompute_language()
        model = prompt.language_model
        kept: list[int] = []

        def keep(tensor, kept=kept):
            kept.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = model(["rotate by ninety degrees", "keep"])
        out.square().sum().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        found.append((out.detach(), gradients, sum(kept)))
    (out, gradients, whole), (out_again, gradients_again, less) = found
    assert torch.equal(out, out_again)
    assert gradients
    assert all(torch.equal(a, b) for a, b in zip(gradients, gradients_again, strict=True))
    assert less < whole / 4
