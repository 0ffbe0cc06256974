"""The spectrum job with uproot and one compiled loop of numba: FILE."""

import sys

import numba
import numpy as np
import uproot

COLUMNS = ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"]
MUON_MASS = 0.1056583755
BINS, LOW, HIGH = 400, 0.3, 150.0


@numba.njit(cache=True)
def fill(offsets, pt, eta, phi, charge, counts):
    scale, start = BINS / np.log(HIGH / LOW) / 2, 2 * np.log(LOW)
    for event in range(len(offsets) - 1):
        begin, end = offsets[event], offsets[event + 1]
        if end - begin < 2:
            continue
        a, b = begin, begin + 1
        if pt[b] > pt[a]:
            a, b = b, a
        for i in range(begin + 2, end):
            if pt[i] > pt[a]:
                a, b = i, a
            elif pt[i] > pt[b]:
                b = i
        pt_a, pt_b = np.float64(pt[a]), np.float64(pt[b])
        z_a, z_b = pt_a * np.sinh(np.float64(eta[a])), pt_b * np.sinh(np.float64(eta[b]))
        e_a = np.sqrt(pt_a * pt_a + z_a * z_a + MUON_MASS**2)
        e_b = np.sqrt(pt_b * pt_b + z_b * z_b + MUON_MASS**2)
        cos = np.cos(np.float64(phi[a]) - np.float64(phi[b]))
        mass2 = 2 * (MUON_MASS**2 + e_a * e_b - z_a * z_b - pt_a * pt_b * cos)
        x = (np.log(mass2) - start) * scale
        slot = 0 if x < 0 else BINS + 1 if x >= BINS else int(x) + 1
        counts[0 if charge[a] + charge[b] == 0 else 1, slot] += 1


counts = np.zeros((2, BINS + 2))
for events in uproot.iterate(f"{sys.argv[1]}:Events", COLUMNS, step_size="100 MB", how=dict):
    layouts = [events[name].layout for name in COLUMNS]
    columns = [np.asarray(layout.content.data) for layout in layouts]
    fill(np.asarray(layouts[0].offsets.data), *columns, counts)
for row in counts:
    print(*row)
