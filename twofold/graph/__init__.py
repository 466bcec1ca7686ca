"""Nodes, their types and keys, walks, text and checks. Knows no op in particular."""
