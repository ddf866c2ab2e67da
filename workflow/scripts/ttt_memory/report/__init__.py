"""From metrics to a page: tables, figures and text whose numbers come from the metrics alone.

`results` holds what was measured and answers queries, `tables` and `figures` (with `sweeps`,
`inside` and `style`) lay it out, `sections` orders it with the text, `page` renders Markdown
and HTML, `build.build_report` is all of it, from files to files.
"""
