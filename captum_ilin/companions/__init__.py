"""Companions: other linear readings of a trained network, each joined to W and b.

representer   over training points: whose votes a prediction is the sum of.
categorical   over patterns of categorical inputs: what each position, and each pair, says.
geometry      over the last layer: angle, norm and margin, and the margin in the input's space.
"""
