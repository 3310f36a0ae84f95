"""Starts of fits: found where nobody tells them, and tried again where a fit went astray."""
