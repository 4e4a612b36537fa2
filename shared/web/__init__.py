"""HTTP: typed routes that describe themselves, problems, identity, probes."""
