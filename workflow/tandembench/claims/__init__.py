"""claims: published statements against the data: YAML -> claims -> verdicts -> text."""
