"""stats: intervals and verdicts. Pure."""
