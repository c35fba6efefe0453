"""Databricks jobs: the Jobs API, and notebooks that really run."""
