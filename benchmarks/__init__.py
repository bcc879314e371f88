"""Timings and studies; each prints or appends JSON with seed, commit and device."""
