"""Trigger rates: counts per luminosity section, rates with errors, rate against pileup.

    from fastjag.analyses.rates.config import SectionWindow
    from fastjag.analyses.rates.count import count
    from fastjag.analyses.rates.fit import fit_pileup
    from fastjag.analyses.rates.rates import measure

    counts = count("data/*.root", ["HLT_Photon30EB"])
    rates = measure(counts, [SectionWindow(355892, 16, 100, pileup=32)])
    fit_pileup(rates, intercept=False).predict(50)

Stages, each the function of that name in the module of that name: count, fit. ``run`` runs them,
``results`` is what they leave, ``config`` what they are told, ``report`` the page with its ``pictures``.
``rates`` has counts and rates in windows of sections, ``tables`` rates and windows as CSV, ``toys``
runs of known rates.
"""
