"""MWAA: its calls, carried out by the real Airflow."""
