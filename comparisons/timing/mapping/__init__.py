"""What the affine map costs: products, all rows, regions and budgets, beside plain PyTorch."""

from comparisons.timing.mapping.networks import NETWORKS
from comparisons.timing.mapping.run import mapping

__all__ = ["NETWORKS", "mapping"]
