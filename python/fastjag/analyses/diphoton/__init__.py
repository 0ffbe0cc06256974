"""Production modes of the Higgs boson in events with two photons."""
