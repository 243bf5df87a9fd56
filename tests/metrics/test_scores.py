"""A metric's values keep every digit they come with."""

from __future__ import annotations

import torch

from captum_ilin.metrics import Direction, Scores


def test_numbers_are_kept_in_float64() -> None:
    third = 1 / 3  # not a float32
    for values in ([third], torch.tensor([third], dtype=torch.float64)):
        assert Scores.of("a", Direction.HIGHER, values).values.tolist() == [third]
