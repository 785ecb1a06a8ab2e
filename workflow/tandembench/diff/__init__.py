"""diff: two datasets, baselines or published reports -> what differs, and whether it matters."""
