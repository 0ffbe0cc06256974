"""The spectrum job with fastjag: FILE. Prints the counts, opposite and same sign, with flow bins."""

import sys

from fastjag.analyses.spectrum import spectrum

result = spectrum(sys.argv[1], progress=False)
for h in (result.opposite, result.same):
    print(*h.values(flow=True))
