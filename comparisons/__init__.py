"""Attribution methods compared on trained networks: ``python -m comparisons``.

Imports only the public names of ``captum_ilin``. A model gives trained weights and real data
(`models`), a method is made for a model (`methods`), a run measures every method on every
example and appends a record for each (`run`, `records`), and a report reads the records
(`table`, `picture`).
"""
