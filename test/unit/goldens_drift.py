#!/usr/bin/python3
"""Writes goldens_drift.txt: what scipy and numpy say of measures of drift.

    /usr/bin/python3 test/unit/goldens_drift.py > test/unit/goldens_drift.txt

Each case is a line "name sizes ..." followed by lines of numbers, read in this
order by test_drift.c.  Made with numpy 1.24.2 and scipy 1.10.1.
"""
import numpy as np
from scipy import stats


def line(values):
    print(" ".join("%.17g" % v for v in np.ravel(values)))


def ks(rng, na, nb, shift, digits):
    """Rounded values repeat, in one sample and across both."""
    a = np.round(rng.normal(size=na), digits).astype(np.float32)
    b = np.round(rng.normal(size=nb) + shift, digits).astype(np.float32)
    d = stats.ks_2samp(a, b, method="asymp").statistic
    root = np.sqrt(na * nb / (na + nb))
    print("ks", na, nb)
    line(a)
    line(b)
    line([d, stats.kstwobign.sf((root + 0.12 + 0.11 / root) * d), stats.kstwo.sf(d, np.round(root ** 2))])


def psi(rng, nbins, n):
    before = rng.multinomial(n, rng.dirichlet(np.ones(nbins)))
    now = rng.multinomial(n // 3, rng.dirichlet(np.ones(nbins)))
    p = (before + 0.5) / (before + 0.5).sum()
    q = (now + 0.5) / (now + 0.5).sum()
    print("psi", nbins)
    line(before)
    line(now)
    line(stats.entropy(p, q) + stats.entropy(q, p))


def ar1(rng, n, phi):
    x = np.zeros(n)
    for i in range(1, n):
        x[i] = phi * x[i - 1] + rng.normal()
    return x


def long_run(rng, n, phi):
    """Newey-West as the weighted sum of the autocovariances numpy.correlate gives."""
    x = ar1(rng, n, phi)
    lags = int(np.floor(4 * (n / 100) ** (2 / 9)))
    centred = x - x.mean()
    gamma = np.correlate(centred, centred, "full")[n - 1:] / n
    weights = 1 - np.arange(lags + 1) / (lags + 1)
    weights[1:] *= 2
    now = ar1(rng, 12, phi) + 1
    variance = float(np.dot(weights, gamma[:lags + 1]))
    print("long_run", n)
    line(x)
    line(now)
    line([variance, (now.mean() - x.mean()) / np.sqrt(variance * (1 / n + 1 / 12))])


rng = np.random.default_rng(20)
for case in [(50, 40, 0.0, 2), (300, 200, 0.1, 1), (1000, 100, 0.5, 6), (8, 5, 1.0, 0)]:
    ks(rng, *case)
for case in [(2, 30), (11, 2000), (11, 40)]:
    psi(rng, *case)
for case in [(30, 0.0), (56, 0.6), (200, 0.9)]:
    long_run(rng, *case)
