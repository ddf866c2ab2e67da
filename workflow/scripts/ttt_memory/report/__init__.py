"""From metrics to a page: tables, figures, and text that quotes only measured numbers.

`results` holds all numbers and answers queries. `tables` and `figures` present them, with the
statistics of `summaries`. `examples` chooses dialogues to read. `verdicts`, `explanations` and
`wording` have the text, `first_screen` what a report opens with, `sections` the order of the rest.
`page` renders it as Markdown and HTML. `build.build_report` does all of it and writes the files.
"""
