"""The response of jets in photon+jet events, by balance and MPF, of data and simulation.

    from fastjag.analyses.gammajet.config import GammaJetConfig
    from fastjag.analyses.gammajet.run import run

    results = run(GammaJetConfig.read("gammajet.toml"), "response")
    rows = results.rows(data=True)                    # name to (n_events,): balance, mpf, alpha, ...
    data = results.responses()["data"]                # per estimator and range in |eta|, bins in pt

=============== =================================================================================
config          samples, cuts and bins: one TOML file
run             the stages, and what each of them depends on
results         what the stages left, for whoever reads it
select          stage: files to a row per event that passes (selection: the cuts, jetid: tight jets)
response        stage: means in bins and their limit alpha -> 0 (profiles), cores (gaussian_core)
decomposition   the response by the parts of MPF (HDM), and bands by variations
report          stage: the page, results.json and pictures/
stitching       which events of overlapping simulated samples count
comparison      distributions of data and simulation, and how well they agree
toys            events with a known response, and the measurement of it
=============== =================================================================================
"""
