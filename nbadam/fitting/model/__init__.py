"""Models: from a formula or a function that a user wrote to computations at a point."""
