"""The record: one row for each series that was ever scored, in SQLite or a department's PostgreSQL.

address (where it is) -> store (rows, each once; migrations) -> filing (results of a run become rows) -> export
(Parquet) and trends (drift, charts, page). It holds pseudonyms and figures, and nothing that names a patient.
"""
