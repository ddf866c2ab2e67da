"""From metrics to a page: tables, figures, and text that quotes only measured numbers.

`results` holds all numbers and answers queries. `tables` and `figures` present them, with the
statistics of `summaries`. `examples` chooses dialogues to read. `explanations` and `wording` have
the text, `sections` the order of everything. `page` renders it as Markdown and HTML.
`build.build_report` does all of it and writes the files.
"""
