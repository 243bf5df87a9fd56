"""What methods and maps cost: paired timings, peak memory, growth, MPRT beside Quantus."""
