"""Differentiation of the graph, by the gradient rules of its ops."""
