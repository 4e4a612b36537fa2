"""Databases: one schema and one role per service on PostgreSQL, one file per service on SQLite."""
