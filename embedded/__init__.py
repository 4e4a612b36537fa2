"""The whole house in one process: the same rooms over an in-process bus and SQLite."""
