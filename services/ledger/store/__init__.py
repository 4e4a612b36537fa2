"""All SQL of the ledger: `batch` writes, `reader` answers, `audit` verifies."""
