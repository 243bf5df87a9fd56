"""``layer_matrices``: a small network as the product of one matrix for each layer.

At one input every layer of a chain is a_k = W_k a_(k−1) + b_k, so that the whole network is
W = W_n ⋯ W_2 W_1 and b = W_n (⋯ (W_2 b_1 + b_2) ⋯) + b_n.

Source: Li et al. 2023, arXiv 2310.16295, which writes each layer so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from captum_ilin.certificate import precision_of, tolerance_for
from captum_ilin.cut import Cut, layer_path
from captum_ilin.derivatives import slopes, weights_of
from captum_ilin.errors import BudgetError, LayerError
from captum_ilin.frozengraph import FrozenGraph
from captum_ilin.layergraph import LayerValue, check_reached, check_value, recorded
from captum_ilin.modulepath import modules_at
from captum_ilin.rows import every_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.autograd.graph import Node

    from captum_ilin.affine import AffineMap
    from captum_ilin.passage import Passage

__all__ = ["LayerMatrix", "layer_matrices"]


class LayerMatrix(NamedTuple):
    """One layer of a chain as a matrix, from the value of the layer before: a' = W a + b.

    Attributes:
        path: of the layer; ``relu#2`` for its second call, '' for what follows the last layer.
        matrix: (batch, out, in), the values of the layers flattened.
        bias: (batch, out).

    >>> import torch
    >>> LayerMatrix("1", torch.eye(2)[None], torch.zeros(1, 2)).path
    '1'
    """

    path: str
    matrix: Tensor
    bias: Tensor


class _Stage(NamedTuple):
    """From the value of one layer to that of the next; of the first, from the inputs."""

    path: str
    source: Tensor
    result: Tensor

    @property
    def sizes(self) -> tuple[int, int]:
        """How many numbers of an example it gives, and takes."""
        return self.result[0].numel(), self.source[0].numel()


def layer_matrices(
    affine_map: AffineMap, paths: Sequence[Any] | None, max_elements: int
) -> list[LayerMatrix]:
    """The matrix of each layer, in the order in which they run."""
    _check_one_input(affine_map)
    paths = _children(affine_map.forward_func) if paths is None else paths
    cuts = [Cut(module) for module in modules_at(paths, affine_map.forward_func)]
    graph, calls, passage = recorded(affine_map, cuts)
    stages = _stages(affine_map, graph, cuts, calls)
    for number, stage in enumerate(stages):
        _check_passed(stage, stages[:number])
    _check_size(stages, max_elements)
    found = [_matrix(stage, graph, passage) for stage in stages]
    for matrix, stage in zip(found, stages, strict=True):
        _check_rows(matrix, stage, affine_map)
    return found


def _children(forward_func: Any) -> list[str]:
    if isinstance(forward_func, nn.Sequential):
        return [path for path, _ in forward_func.named_children()]
    raise LayerError(
        "No paths were given, and the model is a "
        f"{type(forward_func).__name__}, not an nn.Sequential, so it does not tell which of "
        "its modules follow one another. Pass paths=[...], the modules to cut it after."
    )


def _check_one_input(affine_map: AffineMap) -> None:
    if len(affine_map.leaves) > 1:
        raise LayerError(
            f"The network has {len(affine_map.leaves)} inputs; a chain of matrices starts "
            "from one. Pass the others in additional_forward_args, which are held constant."
        )


def _stages(
    affine_map: AffineMap,
    graph: FrozenGraph,
    cuts: Sequence[Cut],
    calls: Sequence[Sequence[LayerValue]],
) -> list[_Stage]:
    """The chain from the inputs through every call of the layers to the outputs."""
    named: list[tuple[LayerValue, str]] = []
    for cut, values in zip(cuts, calls, strict=True):
        check_reached(values, cut, affine_map.forward_func)
        path = layer_path(cut.layer, affine_map.forward_func) or type(cut.layer).__name__
        for number, value in enumerate(values, start=1):
            check_value(value, cut, affine_map.forward_func)
            named.append((value, path if number == 1 else f"{path}#{number}"))
    stages, source = [], affine_map.leaves[0]
    for value, path in sorted(named, key=lambda pair: pair[0].order):
        result = _only_part(value, path, len(source))
        stages.append(_Stage(path, source, result))
        source = result
    if not _hands_on(graph.outputs, named, source):
        stages.append(_Stage("", source, graph.outputs))
    return stages


def _hands_on(outputs: Tensor, named: Sequence[tuple[LayerValue, str]], last: Tensor) -> bool:
    """Whether the network returns the last layer's value as it is."""
    return any(
        value.handed[0] is outputs.grad_fn for value, _ in named if value.parts[0] is last
    )


def _only_part(value: LayerValue, path: str, batch: int) -> Tensor:
    if len(value.parts) > 1:
        raise LayerError(
            f"The value of {path!r} holds {len(value.parts)} tensors; a matrix takes one. "
            "Leave it out of paths, and cut at modules inside it or after it."
        )
    (part,) = value.parts
    if part.dim() == 0 or len(part) != batch:
        raise LayerError(
            f"The value of {path!r} has shape {tuple(part.shape)}; expected ({batch}, ...), "
            f"the batch of {batch} first, so that each example has a matrix of its own. Leave "
            "it out of paths: cut where the batch is the first dimension."
        )
    return part


def _check_passed(stage: _Stage, before: Sequence[_Stage]) -> None:
    """The result comes from the source alone."""
    names = {_node(before[0].source) if before else None: "the inputs"}
    for earlier in before[:-1]:
        names[_node(earlier.result)] = f"the value of {earlier.path!r}"
    own = _node(stage.source)
    seen, stack = {own}, [_node(stage.result)]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        if node in names:
            raise _passed_by(stage, before[-1].path, names[node])
        seen.add(node)
        stack += [parent for parent, _ in node.next_functions]


def _node(value: Tensor) -> Node | None:
    """Where derivatives with respect to ``value`` arrive; None for a constant."""
    return torch.autograd.graph.get_gradient_edge(value).node if value.requires_grad else None


def _passed_by(stage: _Stage, before: str, origin: str) -> LayerError:
    what = f"The value of {stage.path!r}" if stage.path else "The output"
    return LayerError(
        f"{what} depends on {origin} also along a path that passes {before!r} by, such as a "
        "residual path, so the network is no chain there and no product of matrices. Leave "
        f"{before!r} out of paths, or ask layer({before!r}), whose `around` is what passes by."
    )


def _check_size(stages: Sequence[_Stage], most: int) -> None:
    each = [given * taken for given, taken in (stage.sizes for stage in stages)]
    batch = len(stages[0].source)
    if batch * sum(each) <= most:
        return
    largest = max(stages, key=lambda stage: stage.sizes[0] * stage.sizes[1])
    given, taken = largest.sizes
    fitting = most // sum(each)
    advice = (
        f"{fitting} of the {batch} examples would fit."
        if fitting
        else f"One example needs max_elements={sum(each)}; fewer paths may need less."
    )
    raise BudgetError(
        f"The matrices of {batch} examples hold {batch * sum(each)} numbers, but max_elements "
        f"is {most}. The largest is that of {largest.path!r}, {given} × {taken}. {advice}"
    )


def _matrix(stage: _Stage, graph: FrozenGraph, passage: Passage) -> LayerMatrix:
    source, result = stage.source, stage.result
    batch, (given, taken) = len(source), stage.sizes

    def row(output: Tensor) -> tuple[Tensor, ...]:
        return weights_of(slopes(output, (source,), retain_graph=True), (source,))

    (rows,) = every_row(result, (source,), row, None)
    with passage.closed([source]):
        bias = FrozenGraph(result, (source,), graph.ledger).row_bias(result)
    return LayerMatrix(
        stage.path, rows.reshape(batch, given, taken), bias.reshape(batch, given)
    )


def _check_rows(found: LayerMatrix, stage: _Stage, affine_map: AffineMap) -> None:
    """Each example's matrix and bias give its own value."""
    batch, (given, taken) = len(stage.source), stage.sizes
    a = stage.source.detach().reshape(batch, taken, 1)
    value = stage.result.detach().reshape(batch, given)
    error = ((found.matrix @ a)[..., 0] + found.bias - value).abs().max()
    size = (found.matrix.abs() @ a.abs())[..., 0] + found.bias.abs()
    limit = tolerance_for(precision_of(value.dtype, affine_map.freezing.dtypes))
    if error > limit * size.max():
        raise LayerError(
            f"The value of {stage.path!r} in one example depends on other examples too, or its "
            "first dimension is not the batch, so no example has a matrix of its own. Put the "
            "model into evaluation mode, or explain one example at a time."
        )
