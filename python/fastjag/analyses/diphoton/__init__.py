"""Production modes of the Higgs boson in events with two photons.

    from fastjag.analyses.diphoton.config import DiphotonConfig
    from fastjag.analyses.diphoton.run import run

    results = run(DiphotonConfig.read("study.toml"), "study")
    events = results.learned()                        # Events: particles, weights, classes
    table = results.features()                        # name to (n_events,)
    accuracy = results.comparison()["models"]["XGBoost"]["balanced_accuracy"]

=============== =================================================================================
config          what to read, select, learn from and compare: one TOML file
run             the stages, and what each of them depends on
results         what the stages left, for whoever reads it
select          stage: files to the events that pass (skim: one file, selections: the cuts)
features        stage: numbers per event (observables, event_shapes, column_statistics)
train           stage: all models (models) in the same folds, and their figures (evaluation)
report          stage: the page, results.json and pictures/ (distributions, mass_fit)
events          particles, numbers per event, weights and classes, kept together
samples         cross-sections and sums of weights, event weights
importance      which features tell the production modes apart
simulation/     samples from Pythia 8, fastjet and a fast detector
toys            the simulated sample that comes with fastjag, and the analysis of it
=============== =================================================================================
"""
