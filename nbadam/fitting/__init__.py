"""Curve fitting: one model, any number of data sets, each fitted to full precision."""
