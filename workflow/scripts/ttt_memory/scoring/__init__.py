"""From predictions to numbers, one module a step.

`predictions` reads either layout, `scored` checks them against the benchmark and scores each
probe with the functions of `text`, `metrics` makes the long table with the intervals and
tests of `intervals` and the guessing floors of `floor`, `verdict` reads a memory efficiency
against the bars of `config`. `files.score_files` is all of it, from files to files.
"""
