"""What the notebooks import: the same code on a laptop, on the client machine and on Databricks."""
