"""From predictions to numbers, one module for each step.

`predictions` reads the files, in either layout. `probe_scores` checks them against the benchmark
and scores each probe with the functions of `string_metrics`. `metrics` makes the long table: the
means of each condition, and from `ratios` what compares conditions of a run. `groups` says what
they are broken down by. `intervals` has the intervals and tests, `guessing_floor` the floors.
`comparisons` compares runs.
`verdict` compares a memory efficiency with the bars of `config`. `score_files` does all of it, from
files to files.
"""
