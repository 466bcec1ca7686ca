"""Workloads, a file for each kind. Every file here is loaded; each entry calls `add`."""
