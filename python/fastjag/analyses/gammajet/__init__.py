"""Photon+jet: the response of jets by balance and MPF, and the samples that it takes."""
