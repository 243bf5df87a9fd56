"""The commands of ``python -m comparisons``, one module each.

A module has ``add(commands)``, which declares the command's options and sets ``command`` to a
function of the parsed options and the parser that gives the exit code.
"""
