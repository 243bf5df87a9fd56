"""What methods cost: paired timings and peak memory, their growth, and MPRT beside Quantus."""
