"""Fits whose data sets share parameters."""
