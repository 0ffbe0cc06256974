"""Figures of the dimuon search, from plain numbers."""
