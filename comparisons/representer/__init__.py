"""Representer points on images with flipped labels, beside Captum's influence methods.

A small CNN is trained on labels of which a part is wrong. Each method ranks the training
examples, and it is counted how many of the wrong ones are found; then what the votes are worth:
how like the network the refit is, how much the voters differ from test image to test image,
what a test image costs, and what pixels the votes rest on.
"""
