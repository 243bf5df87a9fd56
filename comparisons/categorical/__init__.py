"""Two trained networks of categorical inputs, expanded: peptides, and the bytes of files."""
