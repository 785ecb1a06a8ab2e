"""measure: one block from servers up to a run file. Imports nothing that it does not need."""
