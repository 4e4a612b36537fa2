"""Trades on Binance: claims jobs, decides, acts, observes, protects, reports."""
