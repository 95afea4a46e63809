#!/usr/bin/python3
"""Writes goldens.txt: what scikit-learn and numpy say about a few seeded datasets.

    /usr/bin/python3 test/unit/goldens.py > test/unit/goldens.txt

Each case is a line "name n1 n2 ..." followed by lines of numbers; the tests
read them in this order.  Made with scikit-learn 1.2.1.
"""
import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import HuberRegressor, Ridge
from sklearn.metrics import (mean_absolute_error, mean_absolute_percentage_error,
                             mean_squared_error, r2_score)
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor


def line(values):
    print(" ".join("%.17g" % v for v in np.ravel(values)))


def ridge(name, rng, n, nfeatures, alpha, weighted, scale):
    """Columns on very different scales; coefficients back on the raw scale."""
    x = (rng.normal(size=(n, nfeatures)) * scale + 3 * np.asarray(scale)).astype(np.float32)
    x = x.astype(float)
    y = x @ (rng.normal(size=nfeatures) / scale) + rng.normal(size=n)
    w = rng.integers(1, 9, size=n) / 4.0 if weighted else np.ones(n)
    scaler = StandardScaler().fit(x, sample_weight=w)
    model = Ridge(alpha=alpha, solver="cholesky").fit(scaler.transform(x), y, sample_weight=w)
    coef = model.coef_ / scaler.scale_
    print(name, n, nfeatures, "%.17g" % alpha)
    for f in range(nfeatures):
        line(x[:, f])
    line(y)
    line(w)
    line(coef)
    line(model.predict(scaler.transform(x)))


def lower_quantile(values, weights, q):
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return values[order][np.searchsorted(total, q * total[-1])]


def metrics(name, rng, n, weighted):
    y = rng.normal(size=n) * 2 + 1
    p = y + rng.normal(size=n) * 0.7
    w = rng.integers(1, 9, size=n) / 4.0 if weighted else np.ones(n)
    q = np.exp(np.abs(p - y))
    print(name, n)
    line(y)
    line(p)
    line(w)
    line([r2_score(y, p, sample_weight=w), np.sqrt(mean_squared_error(y, p, sample_weight=w)),
          mean_absolute_error(y, p, sample_weight=w),
          mean_absolute_percentage_error(np.exp(y), np.exp(p), sample_weight=w),
          lower_quantile(q, w, .5), lower_quantile(q, w, .9), lower_quantile(q, w, .95), q.max(),
          r2_score(np.exp(y), np.exp(p), sample_weight=w),
          np.sqrt(mean_squared_error(np.exp(y), np.exp(p), sample_weight=w)),
          mean_absolute_error(np.exp(y), np.exp(p), sample_weight=w)])


def huber(name, rng, n):
    """A robust line's slope; sklearn estimates the scale jointly, so the tests compare loosely."""
    x = rng.normal(size=n).astype(np.float32).astype(float)
    y = 1.5 + 0.8 * x + 0.2 * rng.normal(size=n)
    y[:: 10] += 25
    model = HuberRegressor(epsilon=1.345, alpha=0).fit(x[:, None], y)
    print(name, n)
    line(x)
    line(y)
    line([model.intercept_, model.coef_[0]])


def split(name, rng, n):
    """A stump: scikit-learn's threshold and both means."""
    x = rng.choice(np.arange(50) / 8, size=(n, 2))
    y = 2.0 * (x[:, 1] > 3.3) + x[:, 0] * 0.1 + rng.normal(size=n) * 0.1
    model = DecisionTreeRegressor(max_depth=1).fit(x, y)
    print(name, n)
    line(x[:, 0])
    line(x[:, 1])
    line(y)
    line([model.tree_.feature[0], model.tree_.threshold[0],
          model.tree_.value[1][0][0], model.tree_.value[2][0][0]])


def quality(name, rng, n, ntest, nfeatures):
    """Held-out R2 of scikit-learn's tree (as deep and shallow as it likes) and forest."""
    def draw(m):
        x = rng.normal(size=(m, nfeatures)).astype(np.float32).astype(float)
        y = (2 * x[:, 0] + 1.5 * x[:, 1] + x[:, 2] * x[:, 3] + np.sin(2 * x[:, 4]) +
             0.8 * np.abs(x[:, 5]) + 0.5 * rng.normal(size=m))
        return x, y
    x, y = draw(n)
    xt, yt = draw(ntest)
    tree = DecisionTreeRegressor(max_leaf_nodes=255, min_samples_leaf=5, random_state=0).fit(x, y)
    forest = RandomForestRegressor(100, random_state=0).fit(x, y)
    print(name, n, ntest, nfeatures)
    for data in (x, xt):
        for f in range(nfeatures):
            print(" ".join("%.9g" % v for v in data[:, f]))
    print(" ".join("%.9g" % v for v in y))
    print(" ".join("%.9g" % v for v in yt))
    line([tree.score(xt, yt), forest.score(xt, yt)])


ridge("ridge_plain", np.random.default_rng(1), 60, 4, 1.0, False, [1, 1, 1, 1])
ridge("ridge_weighted", np.random.default_rng(2), 80, 5, 2.5, True, [1, 10, 0.1, 1, 3])
ridge("ridge_huge_scales", np.random.default_rng(3), 70, 4, 0.5, True, [1e-12, 1e15, 1, 1e6])
metrics("metrics_plain", np.random.default_rng(4), 101, False)
metrics("metrics_weighted", np.random.default_rng(5), 90, True)
huber("huber", np.random.default_rng(6), 200)
split("stump", np.random.default_rng(7), 300)
quality("quality", np.random.default_rng(8), 1200, 800, 8)
