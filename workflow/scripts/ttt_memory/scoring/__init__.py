"""From predictions to numbers, one module for each step.

`predictions` reads the files, in either layout. `probe_scores` checks them against the benchmark
and scores each probe with the functions of `string_metrics`. `metrics` makes the long table, with
the intervals and tests of `intervals` and the floors of `guessing_floor`. `verdict` compares a
memory efficiency with the bars of `config`. `score_files` does all of it, from files to files.
"""
