"""The model parameter randomisation test (Adebayo et al. 2018).

Layers lose what they learned, one after the other or one at a time; after each, the
attributions are compared with those of the trained network, for the same output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from captum_ilin.metrics.chance import generator_of
from captum_ilin.metrics.errors import MetricInputError
from captum_ilin.metrics.examples import Examples
from captum_ilin.metrics.randomisation.cascade import Cascade
from captum_ilin.metrics.randomisation.copied import Copied
from captum_ilin.metrics.randomisation.entries import Entries
from captum_ilin.metrics.randomisation.layers import restricted
from captum_ilin.metrics.randomisation.similarity import chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from captum_ilin.metrics.chance import Seed
    from captum_ilin.metrics.explaining import Method
    from captum_ilin.metrics.features import Inputs
    from captum_ilin.metrics.randomisation.redrawing import BatchNorm
    from captum_ilin.metrics.randomisation.similarity import Prepared, Similarity

    Order: TypeAlias = Literal["top_down", "bottom_up", "independent"]

__all__ = ["mprt"]

ORDERS = ("top_down", "bottom_up", "independent")


def mprt(
    method: Method,
    model: nn.Module,
    inputs: Inputs,
    *,
    target: Any = None,
    order: Order = "top_down",
    similarities: Sequence[str] = ("spearman", "abs_spearman"),
    seeds: int | Sequence[int] = 5,
    layers: Iterable[str] | None = None,
    null: bool = False,
    randomise: Callable[[nn.Module, int], None] | None = None,
    batch_norm: BatchNorm = "reset",
    attribute_kwargs: Mapping[str, Any] | None = None,
    additional_forward_args: Any = None,
    batch_size: int = 32,
    seed: Seed = 0,
) -> Cascade:
    """Similarity of a method's attributions before and after layers are randomised.

    For seed s and layer l: sim(φ(F, x), φ(F_{s,l}, x)), where F_{s,l} is the network with
    the layers up to l randomised ("top_down" starts at the output, "bottom_up" at the
    input), or l alone ("independent").

    Args:
        method: network → explainer, such as a Captum class.
        model: the trained network; randomised as a deep copy, never itself.
        inputs: (batch, \\*features), or a tuple of such tensors.
        target: any of Captum's target forms; the same output throughout.
        order: "top_down", "bottom_up" or "independent".
        similarities: of "spearman", "abs_spearman", "ssim", "hog".
        seeds: how many randomisations (one is not enough, results vary widely with it), or
            their seeds themselves. A seed that is given draws every layer, as in Quantus.
        layers: which layers, by name; default all of `randomisable_layers`.
        null: also compare pairs of networks in which every layer is randomised, one pair for
            each seed: what a similarity comes to when nothing trained is shared.
        randomise: (module, seed) → None, draws a layer's parameters again in place; may use
            PyTorch's own generators, which are restored. Default: `redraw`.
        batch_norm: whether `redraw` resets running statistics or keeps them.
        attribute_kwargs: further arguments of ``attribute``.
        additional_forward_args: further arguments of the network.
        batch_size: examples explained at once; memory does not grow with their number.
        seed: of everything random, the method's own draws included.

    Returns:
        Values of every seed, layer and example, descriptive: without a null band beside it
        a low similarity says little, and it ranks no methods.

    Raises:
        MetricInputError: an unknown order, similarity or layer, or no seeds.

    Cost: 1 + seeds · (layers, + 2 for the null band) attributions of each example.

    Adebayo et al. 2018, arXiv:1810.03292, section 3.

    >>> import torch
    >>> from torch import nn
    >>> from captum.attr import Saliency
    >>> from captum_ilin.metrics import mprt
    >>> model = nn.Sequential(nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 2))
    >>> cascade = mprt(Saliency, model, torch.rand(3, 9), target=1, seeds=2)
    >>> cascade.similarities["spearman"].values.shape
    torch.Size([2, 2, 3])
    """
    _check(order, seeds)
    compared = chosen(similarities)
    copied = Copied(model, inputs, additional_forward_args, randomise, batch_norm)
    steps = restricted(copied.layers, layers)
    steps = steps[::-1] if order == "top_down" else steps
    test = _Test(
        method, copied, order, steps, compared, _numbers(len(copied.layers), seeds, seed)
    )
    examples = Examples(inputs, target, additional_forward_args, attribute_kwargs or {})
    found = [
        (test.cascade(chunk), test.null(chunk) if null else {})
        for chunk in examples.chunks(batch_size)
    ]
    cascades, bands = zip(*found, strict=True)
    return Cascade(order, steps, _joined(cascades), _joined(bands))


def _check(order: str, seeds: int | Sequence[int]) -> None:
    if order not in ORDERS:
        raise MetricInputError(f"order: expected one of {', '.join(ORDERS)}, got {order!r}.")
    if (seeds if isinstance(seeds, int) else len(seeds)) < 1:
        raise MetricInputError(f"seeds: expected 1 or more randomisations, got {seeds}.")


def _numbers(layers: int, seeds: int | Sequence[int], seed: Seed) -> list[list[list[int]]]:
    """(seeds, 3, layers): seeds of the cascade's layers and of a null pair's.

    A layer's number depends neither on which layers are asked for nor on how many seeds.
    """
    if isinstance(seeds, int):
        return _drawn((seeds, 3, layers), generator_of(seed))
    return [[[given] * layers, *_drawn((2, layers), generator_of(given))] for given in seeds]


def _drawn(shape: tuple[int, ...], generator: torch.Generator) -> Any:
    return torch.randint(2**62, shape, generator=generator).tolist()


def _joined(chunks: Sequence[Mapping[str, Entries]]) -> dict[str, Entries]:
    return {name: Entries.joined([chunk[name] for chunk in chunks]) for name in chunks[0]}


class _Test:
    """The test of one method on one network, chunk by chunk of the examples."""

    def __init__(
        self,
        method: Method,
        copied: Copied,
        order: str,
        steps: Sequence[str],
        similarities: Sequence[Similarity],
        numbers: list[list[list[int]]],
    ) -> None:
        self.method = method
        self.copied = copied
        self.order = order
        self.steps = steps
        self.similarities = similarities
        self.numbers = numbers

    def cascade(self, examples: Examples) -> dict[str, Entries]:
        """Values (seeds, layers, examples)."""
        self.copied.restore()
        original = self._prepared(examples, seed=0)
        compared = [
            similarity(first, second)
            for seed in self._randomised()
            for similarity, first, second in zip(
                self.similarities, original, self._prepared(examples, seed), strict=True
            )
        ]
        return self._entries(compared, len(self.numbers), len(self.steps))

    def null(self, examples: Examples) -> dict[str, Entries]:
        """Values (seeds, examples) of pairs of fully randomised networks."""
        compared = []
        for _, one, other in self.numbers:
            self.copied.randomise_all(self.copied.layers, one)
            first = self._prepared(examples, one[0] + 1)
            self.copied.randomise_all(self.copied.layers, other)
            second = self._prepared(examples, other[0] + 1)
            compared += [
                similarity(a, b)
                for similarity, a, b in zip(self.similarities, first, second, strict=True)
            ]
        return self._entries(compared, len(self.numbers))

    def _randomised(self) -> Iterator[int]:
        """Brings the copy to every step in turn; yields a seed for the method's draws."""
        for numbers, _, _ in self.numbers:
            of_layer = dict(zip(self.copied.layers, numbers, strict=True))
            self.copied.restore()
            for layer in self.steps:
                if self.order == "independent":
                    self.copied.restore()
                self.copied.randomise(layer, of_layer[layer])
                yield of_layer[layer] + 1

    def _prepared(self, examples: Examples, seed: int) -> list[Prepared]:
        found = examples.attributions(self.method, self.copied.module, seed)
        return [similarity.prepare(found) for similarity in self.similarities]

    def _entries(self, compared: Sequence[Any], *grid: int) -> dict[str, Entries]:
        every = len(self.similarities)
        return {
            similarity.name: Entries.stacked(compared[number::every], *grid)
            for number, similarity in enumerate(self.similarities)
        }
