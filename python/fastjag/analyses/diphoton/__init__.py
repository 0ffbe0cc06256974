"""Production modes of the Higgs boson in events with two photons.

    from fastjag.analyses.diphoton.config import DiphotonConfig
    from fastjag.analyses.diphoton.run import run

    results = run(DiphotonConfig.read("study.toml"), "study")
    events = results.learned()                        # Events: particles, weights, classes
    table = results.features()                        # name to (n_events,)
    accuracy = results.comparison()["models"]["XGBoost"]["balanced_accuracy"]

``config`` has the settings, ``run`` the stages: ``select`` events (``selections`` the cuts, ``skim`` one
file, ``samples`` what it is worth), ``features`` (``observables``, ``event_shapes``,
``column_statistics``), ``variations`` (masses for other photons and weights), ``train`` (``models``, their ``evaluation``, the ``continuum`` in categories) and ``report`` (``mass_fit``,
``distributions``, ``pictures``). ``results`` reads what stages left, ``importance`` says which features
tell the modes apart, ``events`` keeps particles and numbers together, ``simulation`` makes samples, and
``toys`` runs the one that comes with fastjag.
"""
