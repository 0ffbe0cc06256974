"""The dimuon anomaly search: flow, classifiers and bump hunt (after arXiv:2502.14036)."""
