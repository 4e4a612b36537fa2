"""USDⓈ-M Futures: rules, engine and wire shapes. Spot would stand beside it as `spot/`."""
