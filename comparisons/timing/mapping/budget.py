"""What ``weight(budget=B)`` holds besides its result, as a share of B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from captum_ilin import linearize
from captum_ilin.allocation import Allocation
from captum_ilin.metrics import peak_bytes
from comparisons.timing.mapping.networks import network
from comparisons.timing.mapping.part import Part, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from captum_ilin import AffineMap
    from comparisons.timing.mapping.part import Step

__all__ = ["BUDGETS", "BudgetRecord", "budgets"]

MULTIPLES = (2, 4, 8)
OUTPUTS = 32  # enough for some full chunks at the largest budget


@dataclass(frozen=True)
class BudgetRecord:
    """One budget on one network.

    Attributes:
        outputs: rows asked for.
        one_row: bytes held while one row is computed, as the budget counts them.
        multiple: the budget in these.
        counted: most bytes held besides the result, as the budget counts them.
        allocated: most bytes PyTorch's allocator held besides it, kernels' own included.
    """

    model: str
    outputs: int
    one_row: int
    multiple: int
    counted: int
    allocated: int
    part: str = "budget"

    @property
    def budget(self) -> int:
        """In bytes."""
        return self.multiple * self.one_row


def budgets(
    name: str, model: nn.Module, x: Tensor, outputs: int, step: Step
) -> Iterator[BudgetRecord]:
    """Each budget on the first outputs of a network."""
    affine_map = linearize(lambda point: model(point)[:, :outputs], x)
    with Allocation() as alone:
        row = affine_map.weight(target=0)
    assert not isinstance(row, tuple)
    result = row.nbytes * outputs
    for multiple in MULTIPLES:
        step(f"{name}: a budget of {multiple} rows")
        counted, allocated = _peaks(affine_map, multiple * alone.peak)
        yield BudgetRecord(
            name, outputs, alone.peak, multiple, counted - result, allocated - result
        )


def _peaks(affine_map: AffineMap, budget: int) -> tuple[int, int]:
    """As the budget counts, and of the allocator, the result included."""
    with Allocation() as counting:
        affine_map.weight(budget=budget)
    return counting.peak, peak_bytes(lambda: affine_map.weight(budget=budget))


def _measured(name: str, repeats: int, step: Step) -> Iterator[BudgetRecord]:
    yield from budgets(name, *network(name), OUTPUTS, step)


def _sections(rows: list[dict[str, Any]]) -> list[Section]:
    text = (
        "weight(budget=B) for every one of the network's first outputs, with B some times "
        "what one row takes while it is computed. The budget counts bytes of tensors, and "
        "estimates what convolutions take for themselves."
    )
    columns = {
        "network": "evaluation mode, one image",
        "B / one row": "the budget",
        "outputs": "rows asked for",
        "one row, MB": "most bytes held while one row is computed, as the budget counts them",
        "B, MB": "the budget",
        "counted / B": "most bytes held besides the result, as the budget counts them / B",
        "allocated / B": "most bytes that PyTorch's allocator held besides the result / B",
    }
    lines = [_line(row, row["multiple"] * row["one_row"]) for row in rows]
    return [Section("Budgets", text, columns, lines, left=1)]


def _line(row: dict[str, Any], budget: int) -> list[str]:
    return [
        row["model"],
        str(row["multiple"]),
        str(row["outputs"]),
        f"{row['one_row'] / 1e6:.2f}",
        f"{budget / 1e6:.1f}",
        f"{row['counted'] / budget:.2f}",
        f"{row['allocated'] / budget:.2f}",
    ]


BUDGETS = Part(
    "budget",
    models=None,
    steps=lambda repeats: len(MULTIPLES),
    measured=_measured,
    sections=_sections,
)
