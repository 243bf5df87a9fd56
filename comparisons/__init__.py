"""Attribution methods compared on trained networks: ``python -m comparisons``.

Imports only the public names of ``captum_ilin``. A model gives trained weights and real data
(`models`), a method is made for a model (`methods`), a measure gives the numbers of one example
(`measures`). A suite (`suites`) names them; a run (`harness`) measures what it names and
appends rows to a folder (`records`), of which a report is made (`report`, with the intervals
and ranks of `statistics`). Beside it stand `timing`, which times methods in pairs, `language`,
which explains a next token, and `zoo`, which certifies architectures. `commands` has the
command line of each, and `examples` a method and a model of your own.
"""
