"""A Binance-compatible exchange for paper trading, tests and demos."""
