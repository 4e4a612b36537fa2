"""The process that turns one signal into one job per active subscription."""
