"""Attribution methods compared on trained networks: ``python -m comparisons``.

Imports only the public names of ``captum_ilin``. A model gives trained weights and real data
(`models`), a method is made for a model (`methods`), a measure gives the numbers of one example
(`measures`). A suite names them (`suite`), a run measures and appends what is left of it
(`running`, `records`), and a report reads the records (`report`).
"""
