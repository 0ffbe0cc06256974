"""Samples in the format of the ATLAS 2020 release: Pythia 8, fastjet and a fast detector."""
