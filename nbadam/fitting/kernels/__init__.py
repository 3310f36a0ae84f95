"""Kernels of fits: their text, and its way to machine code."""
