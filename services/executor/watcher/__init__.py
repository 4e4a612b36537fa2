"""Follows open positions at the exchange until they are gone."""
