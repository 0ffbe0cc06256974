"""Figures from plain numbers: events, masses, the comparison of models."""
