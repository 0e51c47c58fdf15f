"""The Spark notebook of the seeds, run cell by cell against a fresh server: `make notebook`.

`layout` says where the notebook's cells are, `expectation` what each should print, `runner` runs
them in the kernel of a Spark environment, `comparison` compares. The notebook's text is never kept
here.
"""
