"""The dimuon anomaly search: flow, classifiers and bump hunt (after arXiv:2502.14036).

    from fastjag.analyses.dimuon.config import DimuonConfig
    from fastjag.analyses.dimuon.run import run

    results = run(DimuonConfig.read("search.toml"), "search")  # or stages up to any of STAGES
    pairs, values = results.preprocessed["OS"]
    scores = results.scores("OS")
    table = results.significance["table"]

Stages, each the function of that name in the module of that name: prepare, variations, scan, flow, samples,
check, classify, significance, report. ``run`` runs them, ``results`` reads what they left, ``config``
is the file of settings. What they are made of:

- ``observables``, ``skims``: columns of the pairs; the published pickles
- ``pairs``, ``preprocess``: pairs in the mass window; features as numbers of order one
- ``classifier``, ``pseudo_experiments``: scores out of fold; bootstraps and null runs
- ``cuts``, ``significance_table``: fits of what passes cuts; the published table
- ``inference``: intervals, limits, the test of the background; ``inference_report``: their section
- ``elsewhere``: global significance over all that was tried, by null searches that train again
- ``shared``: likelihoods for other programs, tables for HEPData
- ``verdicts``: what the checks say, and which numbers stand behind a failed one
- ``gallery``, ``pictures``: the numbers of every picture; figures from plain numbers
- ``importance``: which features tell data from samples
- ``toys``: input with a known answer, ``demo``, and searches in memory
"""
