"""From finished studies to docs/results.md and the README's table and figures.

`study` reads a results folder, `tables` and `figures` lay it out, `blocks` puts the text
between the markers of a page, `pages` is all of it, from folder to files.
"""
