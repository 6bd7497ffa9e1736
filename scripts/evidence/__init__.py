"""Pages of results, written from stored results.

`stored` reads and writes what a played comparison comes to; `figures` makes medians of it;
`clean`, `attacks` and `blocks` are the pages and the parts of pages that are written from it.
`python -m scripts.evidence` writes them, `--check` says which are not what the results say.
"""
