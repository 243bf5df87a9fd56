"""``AffineMap``: F(x) = W x + b at one operating point, read from one recorded graph.

Rows of W are vector-Jacobian products, W_t = ∂G_t/∂x. The bias is the sum of the constants
that enter additively, b_t = Σ_s <∂G_t/∂y_s, c_s>; it is never F − <W, x>.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from captum_ilin.biasledger import BiasLedger
from captum_ilin.certificate import Certificate, certify, repeats, require_exact
from captum_ilin.checks import check_direction, check_point
from captum_ilin.derivatives import input_gradients
from captum_ilin.errors import NotOfferedError, ReplayError
from captum_ilin.frozengraph import FrozenGraph
from captum_ilin.layermap import LayerMap, layer_maps
from captum_ilin.layermatrices import LayerMatrix, layer_matrices
from captum_ilin.layershares import LayerShares, layer_shares
from captum_ilin.modes import gradients_on
from captum_ilin.operator import Operator, operator_of
from captum_ilin.region import Region, region_of
from captum_ilin.replay import replay
from captum_ilin.rows import every_row
from captum_ilin.targets import check_row, select
from captum_ilin.validity import validity
from captum_ilin.waterfall import Waterfall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from captum_ilin.freezing import Freezing

__all__ = ["AffineMap", "Difference"]


class Difference(NamedTuple):
    """The map of the difference of two outputs, F_a(x) − F_b(x) = <weight, x> + bias.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> linearize(torch.nn.ReLU(), torch.ones(1, 2)).difference(0, 1)
    Difference(weight=tensor([[ 1., -1.]]), bias=tensor([0.]))
    """

    weight: Tensor | tuple[Tensor, ...]
    bias: Tensor


@dataclass(frozen=True, repr=False)
class AffineMap:
    """The affine map a network is at ``inputs``. Made by ``linearize``.

    Attributes:
        forward_func: the function it is the map of.
        inputs: the operating point, as it was given.
        baselines: the second operating point, a tensor for each input; None without one.

    Cost: keeps the graph of one forward pass in memory. Each weight is one backward pass.

    >>> import torch
    >>> from captum_ilin import linearize
    >>> affine_map = linearize(torch.nn.Linear(3, 2), torch.ones(1, 3))
    >>> affine_map
    AffineMap(inputs (1, 3) -> outputs (1, 2), torch.float32, DEFAULT_RULES)
    """

    forward_func: Callable[..., Any]
    inputs: Tensor | tuple[Tensor, ...]
    constants: tuple[Any, ...]
    leaves: tuple[Tensor, ...]
    graph_outputs: Tensor
    freezing: Freezing
    baselines: tuple[Tensor, ...] | None = None

    def __repr__(self) -> str:
        shapes = ", ".join(str(tuple(leaf.shape)) for leaf in self.leaves)
        return (
            f"AffineMap(inputs {shapes} -> outputs {tuple(self.graph_outputs.shape)}, "
            f"{self.graph_outputs.dtype}, {self.freezing.rules.name})"
        )

    @property
    def outputs(self) -> Tensor:
        """F(x0), (batch, \\*out), without a graph."""
        return self.graph_outputs.detach()

    @gradients_on()
    def __call__(self, x: Tensor | tuple[Tensor, ...]) -> Tensor:
        """W x + b at another point: what the map says, for all outputs, without W.

        It is the network's own value only at ``inputs`` and, for a piecewise linear network,
        throughout their region.

        Args:
            x: shaped like ``inputs``, a tuple for a tuple. Row i is taken by row i's map.

        Returns:
            (batch, \\*out), b read from the ledger.

        Raises:
            PointError: x is not shaped like the inputs.

        Cost: two backward passes and their derivatives, however many outputs.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> affine_map = linearize(torch.nn.ReLU(), torch.tensor([[1.0, -1.0]]))
        >>> affine_map(torch.tensor([[-2.0, 5.0]]))
        tensor([[-2.,  0.]])
        """
        points = check_point(x, self.leaves, "x")
        outputs = self.graph_outputs
        return self.graph.row_products(outputs, points) + self.graph.row_bias(outputs)

    def replay(self, x: Tensor | tuple[Tensor, ...]) -> Tensor:
        """The frozen network run at another point, with the gates it has at ``inputs``.

        Every slope, gate, selection and branch is the one recorded at ``inputs``; only the
        values that flow are those of ``x``. It equals `__call__`, which comes from
        derivatives instead: ``certificate(thorough=True)`` compares the two.

        Args:
            x: shaped like ``inputs``, a tuple for a tuple.

        Returns:
            (batch, \\*out).

        Raises:
            PointError: x is not shaped like the inputs.
            ReplayError: the forward function calls other ops now than it did at ``inputs``, or
                gives other outputs there.
            NotOfferedError: a custom ``autograd.Function`` makes values that no op announces.

        Cost: two forward passes: one at ``inputs``, to record, and one at x.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> affine_map = linearize(torch.nn.ReLU(), torch.tensor([[1.0, -1.0]]))
        >>> affine_map.replay(torch.tensor([[-2.0, 5.0]]))
        tensor([[-2.,  0.]])
        """
        self._check_one_point("replay")
        points = check_point(x, self.leaves, "x")
        with self.freezing.autocast.restored():
            at_home, outputs = replay(
                self.forward_func, self.leaves, points, self.constants, self.freezing.rules
            )
        if not repeats(self, at_home):
            raise ReplayError(
                "The forward function gives other outputs now at ``inputs`` than when it was "
                "linearized there: the inputs or the weights were overwritten since, or it "
                "depends on chance or a counter. Linearize again, at a copy of the inputs, "
                "with the model in evaluation mode."
            )
        return outputs

    def region(self) -> Region:
        """Where the network is this map: see `Region`. For piecewise linear networks.

        Raises:
            RegionError: an op on the way is not piecewise affine; the message names it.

        Cost: one forward pass.
        """
        self._check_one_point("region")
        return region_of(self)

    @gradients_on()
    def validity(
        self, direction: Tensor | tuple[Tensor, ...], steps: Sequence[float]
    ) -> Tensor:
        """How far off the map is at x0 + s d: measured, for any network.

        For smooth networks, which have no region. It says nothing of the points between the
        steps.

        Args:
            direction: d, shaped like ``inputs``, a tuple for a tuple. Not zero.
            steps: the multiples s of d to measure at.

        Returns:
            (steps, batch): the largest |F(x0 + s d) − (W (x0 + s d) + b)| of each row,
            relative to its largest |F(x0)|.

        Raises:
            PointError: the direction is zero, or not shaped like the inputs.

        Cost: one forward pass for each step, and that of two calls of the map.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> affine_map = linearize(torch.exp, torch.zeros(1, 1))
        >>> affine_map.validity(torch.ones(1, 1), steps=[0.0, 0.1, 1.0])
        tensor([[0.0000],
                [0.0052],
                [0.7183]])
        """
        return validity(self, check_direction(direction, self.leaves), steps)

    @gradients_on()
    def weight(
        self, target: Any = None, *, budget: int | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """W: how the chosen output depends on each input feature.

        Of one-hot codes, only differences between a position's weights are told by F:
        ``companions.categorical.zero_sum_map`` gives W without what is arbitrary in it.

        Args:
            target (optional): any of Captum's target forms. Default: None, every output.
            budget (optional): the most bytes of tensors held at once, besides the result,
                where every output is asked for: rows are computed together as far as it
                allows. What a convolution takes for itself on a CPU is estimated, what other
                kernels take is not counted. Default: 64 MiB, or what one row takes; the head
                of a narrow waist may take an eighth of the result besides.

        Returns:
            (batch, \\*features), a tuple for a tuple of inputs. For None and several
            outputs per example (batch, \\*out, \\*features).

        Raises:
            BudgetError: not even one row fits ``budget``.

        Cost: one backward pass for each output asked for. Where all paths pass fewer features
        than there are outputs, as before the last layer of a classifier of 1000 classes, the
        way below them is gone once for each feature, and W is a matrix product.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> layer = torch.nn.Linear(3, 2)
        >>> w = linearize(layer, torch.ones(1, 3)).weight(target=1)
        >>> torch.equal(w[0], layer.weight[1])
        True
        """
        if target is not None or self._has_one_output:
            weights = self._gradients(select(self.graph_outputs, target))
        else:
            batch, *out = self.graph_outputs.shape
            rows = every_row(self.graph_outputs, self.leaves, self._gradients, budget)
            weights = tuple(w.reshape(batch, *out, *w.shape[2:]) for w in rows)
        return weights if isinstance(self.inputs, tuple) else weights[0]

    def operator(self) -> Operator:
        """W as an operator: ``W @ v``, ``u @ W`` and ``W.T``, without writing W out.

        Cost: none. Keep it for several products ``W @ v``: the first records a backward pass.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> layer = torch.nn.Linear(3, 2)
        >>> W = linearize(layer, torch.ones(1, 3)).operator()
        >>> why_0_and_not_1 = torch.tensor([[1.0, -1.0]]) @ W
        >>> torch.allclose(why_0_and_not_1[0], layer.weight[0] - layer.weight[1])
        True
        """
        is_tuple = isinstance(self.inputs, tuple)
        return operator_of(self.graph_outputs, self.leaves, is_tuple=is_tuple)

    @gradients_on()
    def difference(self, a: Any, b: Any) -> Difference:
        """Why output a and not b: the map of F_a − F_b, in one pass.

        Args:
            a, b: any of Captum's target forms.

        Returns:
            Difference: weight w_a − w_b, (batch, \\*features), a tuple for a tuple of inputs,
            and bias b_a − b_b, (batch,).

        Cost: that of one ``weight(target)`` and one ``bias(target)``.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> layer = torch.nn.Linear(3, 2)
        >>> weight, bias = linearize(layer, torch.ones(1, 3)).difference(1, 0)
        >>> torch.allclose(weight[0], layer.weight[1] - layer.weight[0])
        True
        >>> torch.allclose(bias[0], layer.bias[1] - layer.bias[0])
        True
        """
        output = select(self.graph_outputs, a) - select(self.graph_outputs, b)
        weights = self._gradients(output)
        weight = weights if isinstance(self.inputs, tuple) else weights[0]
        return Difference(weight, self.graph.row_bias(output))

    @gradients_on()
    def bias(self, target: Any = None) -> Tensor:
        """b: what the chosen output owes to constants, not to the input.

        Measured as the sum over every constant that enters additively, each times the frozen
        network's gradient where it enters; independent of F and of W.

        Args:
            target (optional): any of Captum's target forms. Default: None, every output.

        Returns:
            (batch,); for None and several outputs per example (batch, \\*out).

        Cost: one backward pass and the derivative of it, for each output.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> layer = torch.nn.Linear(3, 2)
        >>> b = linearize(layer, torch.ones(1, 3)).bias(target=1)
        >>> torch.equal(b[0], layer.bias[1])
        True
        """
        if target is not None or self._has_one_output:
            return self.graph.row_bias(select(self.graph_outputs, target))
        each = self.graph_outputs.unsqueeze(-1).flatten(1).unbind(1)
        biases = [self.graph.row_bias(output) for output in each]
        return torch.stack(biases, 1).reshape(self.graph_outputs.shape)

    @gradients_on()
    def bias_ledger(self, target: Any = None, *, row: int | None = None) -> BiasLedger:
        """b by where it entered.

        Args:
            target (optional): any of Captum's target forms; None only for one output per
                example.
            row (int, optional): the example whose b is meant, whatever the layout inside the
                network. Default: None, all of them.

        Returns:
            BiasLedger: (module path, op) → contribution of the constants that entered there,
            shaped like the op's output. A module that calls an op again has ``op#2``. The sum
            over all entries and elements is the sum of ``bias(target)`` over the batch, or
            its element ``row``. It also reads b by module, by place and by token.

        Raises:
            TargetRangeError: the batch has no such row.

        Cost: one backward pass, and each op with a constant once more, on zeros.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> nn = torch.nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> affine_map = linearize(model, torch.ones(1, 3))
        >>> ledger = affine_map.bias_ledger(target=0)
        >>> [f"{module}: {op}" for module, op in ledger]
        ['0: linear', '2: linear']
        """
        chosen = select(self.graph_outputs, target)
        if row is not None:
            number = check_row(row, len(chosen))
            chosen = chosen[number : number + 1]
        return BiasLedger(self.graph, chosen)

    @gradients_on()
    def waterfall(self, target: Any = None, *, depth: int | None = 1) -> Waterfall:
        """F = <W, x> + Σ b_module: what the features give, then each module's constants.

        Args:
            target (optional): any of Captum's target forms; None only for one output per
                example.
            depth (int, optional): how many names of a module's path to keep, 0 for one bar of
                all b. None keeps every module apart. Default: 1.

        Returns:
            Waterfall: names, and values in that order, whose sum is F. <W, x> and the
            constants are measured each by themselves, none is what the others leave over.

        Raises:
            LedgerError: the depth is negative or not an int.

        Cost: that of one ``bias_ledger``, of its ``by_module``, and one product with W.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> nn = torch.nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
        >>> affine_map = linearize(model, torch.ones(1, 3).double())
        >>> waterfall = affine_map.waterfall(target=0)
        >>> waterfall.names
        ('⟨W, x⟩', '0', '2')
        >>> torch.allclose(waterfall.total, affine_map.outputs[:, 0])
        True
        """
        chosen = select(self.graph_outputs, target)
        modules = BiasLedger(self.graph, chosen).by_module(depth)
        return Waterfall(self.graph.row_products(chosen), modules)

    def layer(
        self, path: str | nn.Module, *, call: int | None = None, at_input: bool = False
    ) -> LayerMap:
        """One layer's value inside this map: what is below it, above it, and around it.

        Args:
            path: the layer, as ``model.named_modules()`` names it, or the module itself.
            call (int, optional): which call, of a layer that is called several times: 0 for
                the first, −1 for the last. Default: None, which takes a layer called once.
            at_input (bool, optional): what goes into the layer (its positional arguments)
                instead of what it returns. Default: False.

        Returns:
            LayerMap: operators, biases, and how much of an output passes through each unit.

        Raises:
            LayerError: no such layer or call, or its value does not depend on the inputs.
            NotExactError: the forward function is not the same at each call.

        Cost: one forward pass, and the memory of its graph while the layer's map is kept.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> nn = torch.nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
        >>> affine_map = linearize(model, torch.randn(1, 3, dtype=torch.float64))
        >>> layer, u = affine_map.layer("1"), torch.ones(1, 2, dtype=torch.float64)
        >>> composed = (u @ layer.above) @ layer.below + u @ layer.around
        >>> torch.allclose(composed, u @ affine_map.operator())
        True
        """
        return layer_maps(self, [path], call=call, at_input=at_input)[0]

    def layers(
        self, paths: Sequence[str | nn.Module], *, at_input: bool = False
    ) -> list[LayerMap]:
        """Several layers' values inside this map, from one run: see `layer`.

        Each is a view of the same map. Layers that follow one another pass on the same
        numbers, so their contributions must not be added to each other; `shares` can be.

        Args:
            paths: the layers, each called once.
            at_input (bool, optional): as for `layer`. Default: False.

        Cost: one forward pass, and the memory of its graph.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> nn = torch.nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> for layer in linearize(model, torch.ones(1, 3)).layers(["0", "1"]):
        ...     print(layer.path, layer.contributions(target=0).through.shape)
        0 torch.Size([1])
        1 torch.Size([1])
        """
        return layer_maps(self, paths, at_input=at_input)

    @gradients_on()
    def shares(
        self, paths: Sequence[str | nn.Module], target: Any = None, *, at_input: bool = False
    ) -> LayerShares:
        """One output split among layers, such as the residual branches: what each adds itself.

        What passes through one layer may pass through others too; here it is counted at the
        last of them, so that the shares add up to the output.

        Args:
            paths: the layers, each called once.
            target (optional): any of Captum's target forms; None only for one output per
                example.
            at_input (bool, optional): as for `layer`. Default: False.

        Returns:
            LayerShares: a number for each layer and row, and what passes all of them by.

        Raises:
            LayerError: no such layer, one that is called several times, or none at all.

        Cost: one forward pass; for each layer one backward pass and its derivative.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        >>> def forward(x):
        ...     x = x + first(x)
        ...     return x + second(x)
        >>> x = torch.ones(1, 2)
        >>> shares = linearize(forward, x).shares([first, second], target=0)
        >>> torch.allclose(shares.direct[0], first(x)[:, 0])
        True
        >>> shares.around_features, torch.allclose(shares.total, forward(x)[:, 0])
        (tensor([1.]), True)
        """
        return layer_shares(self, paths, target, at_input=at_input)

    @gradients_on()
    def matrices(
        self, paths: Sequence[str | nn.Module] | None = None, *, max_elements: int = 10**7
    ) -> list[LayerMatrix]:
        """Each layer of a small network as a matrix; their product is W.

        Args:
            paths (optional): the modules to cut the network after. Default: None, the
                children of an ``nn.Sequential``.
            max_elements (int, optional): the most numbers of all matrices together.
                Default: 10⁷, 80 MB in float64.

        Returns:
            LayerMatrix of each layer in the order in which they run, each call of a module
            that is called again by itself. What follows the last of them has the path ''.

        Raises:
            LayerError: the network is no chain there, because something passes a layer by.
            BudgetError: the matrices hold more than ``max_elements`` numbers.

        Cost: one forward pass, and one backward pass through its stage for each unit.

        Source: Li et al. 2023, arXiv 2310.16295.

        >>> import torch
        >>> from captum_ilin import linearize
        >>> nn = torch.nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
        >>> affine_map = linearize(model, torch.randn(5, 3, dtype=torch.float64))
        >>> first, gate, last = affine_map.matrices()
        >>> first.path, first.matrix.shape, first.bias.shape
        ('0', torch.Size([5, 4, 3]), torch.Size([5, 4]))
        >>> torch.allclose(last.matrix @ gate.matrix @ first.matrix, affine_map.weight())
        True
        """
        return layer_matrices(self, paths, max_elements)

    @gradients_on()
    def certificate(self, *, thorough: bool = False) -> Certificate:
        """The measured exactness of this map: see `Certificate`.

        Args:
            thorough (bool, optional): also replay the frozen network at a point far from
                ``inputs`` and compare with W x + b. Default: False.

        Cost: one plain forward pass, three backward passes, and the ledger; `thorough` adds
        the cost of `replay` and of one call of the map.
        """
        return certify(self, thorough=thorough)

    @gradients_on()
    def check(self, tolerance: float | None = None) -> Certificate:
        """The certificate, if every error is within ``tolerance``.

        Args:
            tolerance (float, optional): largest relative error. Default: 1e-11 in float64,
                1e-4 in float32, 16 units of rounding where half precision was used
                (6.3e-2 in bfloat16, 7.8e-3 in float16).

        Raises:
            NotExactError: an error is larger; the message names the first op at fault.
        """
        return require_exact(self, tolerance)

    @property
    def graph(self) -> FrozenGraph:
        """The recorded graph, for what is read from it row by row."""
        return FrozenGraph(self.graph_outputs, self.leaves, self.freezing.ledger)

    @property
    def _has_one_output(self) -> bool:
        return self.graph_outputs[0].numel() == 1

    def _check_one_point(self, what: str) -> None:
        if self.baselines is not None:
            raise NotOfferedError(
                f"{what} is not offered for a map with baselines: it lies between two points, "
                "and belongs to the gates of neither. Linearize without baselines."
            )

    def _gradients(self, output: Tensor) -> tuple[Tensor, ...]:
        return input_gradients(
            output,
            self.leaves,
            forward_func=self.forward_func,
            constants=self.constants,
            retain_graph=True,
        )
