"""The HTTP API, a module per section: its models, its routes, what each answers."""
