"""The ledger: every execution sealed into a hash chain, and the read side of the house."""
