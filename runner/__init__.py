"""Executes the notebooks: for the reader (`make run`), for the committed outputs, and as HTML pages."""
