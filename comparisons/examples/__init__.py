"""How to use the harness with things of your own."""
