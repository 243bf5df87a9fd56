"""Ops that are left without a rule between two points, each for its reason.

With only their first argument active some are affine, and run as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from captum_ilin.rule import Kind, Rule, op_name
from captum_ilin.rules.attention import mixed_values
from captum_ilin.rules.spellings import functions, spellings
from captum_ilin.ruletable import RuleTable

if TYPE_CHECKING:
    from captum_ilin.rule import Op

__all__ = ["RULES"]

_LEFT = RuleTable()
_LEFT.leaves(
    "no closed form of its change is known",
    *spellings("matrix_exp", "cholesky", "pinverse", "nuclear_norm"),
    *functions("linalg", "matrix_exp", "cholesky", "cholesky_ex", "pinv", "cond"),
)
_LEFT.leaves("attention is spelled out instead, and never calls it", mixed_values)
_LEFT.leaves("it is a sum over all alignments", *functions("functional", "ctc_loss"))
_LEFT.leaves("it is a sum over all alignments", *spellings("ctc_loss"))
_LEFT.leaves(
    "its factors are found by a pivot that changes with the values",
    *functions("linalg", "lu_solve", "lstsq"),
)
_LEFT.leaves("its segments are reduced in several ways", *spellings("segment_reduce"))


def _unless_alone(reason: str, *ops: Op) -> dict[Op, Rule]:
    """``ops`` that are affine in their first argument, and left where another is active."""
    return {
        op: Rule(
            op,
            Kind.UNREGISTERED,
            op_name(op),
            reason=reason,
            alone=Rule(op, Kind.AFFINE, op_name(op)),
        )
        for op in ops
    }


_ALONE = {
    **_unless_alone(
        "which values lie around a sampling position changes with it",
        *functions("functional", "grid_sample"),
        *spellings("grid_sampler", "grid_sampler_2d", "grid_sampler_3d"),
    ),
    **_unless_alone("it divides by sums of its window's squares", *spellings("istft")),
    **_unless_alone("it divides by what its positions are apart", *spellings("gradient")),
    **_unless_alone("its factors change with the pivots", *spellings("lu_solve")),
}
RULES = _LEFT | _ALONE
