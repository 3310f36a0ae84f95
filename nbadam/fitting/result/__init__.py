"""Results of fits, and how sure they are."""
