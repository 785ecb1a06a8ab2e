"""Says what a run needs and whether it is there; measures nothing and changes nothing."""
