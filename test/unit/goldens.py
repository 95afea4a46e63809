#!/usr/bin/python3
"""Writes goldens.txt: what scikit-learn, XGBoost and numpy say about a few seeded datasets.

    OMP_NUM_THREADS=1 /usr/bin/python3 test/unit/goldens.py > test/unit/goldens.txt

Each case is a line "name n1 n2 ..." followed by lines of numbers; the tests
read them in this order.  Made with scikit-learn 1.2.1 and XGBoost 1.7.4.
"""
import numpy as np
import xgboost
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import HuberRegressor, Ridge
from sklearn.metrics import (mean_absolute_error, mean_absolute_percentage_error,
                             mean_pinball_loss, mean_squared_error, r2_score)
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
    z = scaler.transform(x)
    gram = z.T @ (w[:, None] * z)
    inverse = np.linalg.inv(gram + alpha * np.eye(nfeatures))
    freedom = n - np.trace(inverse @ gram) - 1
    variance = np.sum(w * (y - model.predict(z)) ** 2) / freedom
    errors = np.sqrt(variance * np.diag(inverse @ gram @ inverse)) / scaler.scale_
    print(name, n, nfeatures, "%.17g" % alpha)
    for f in range(nfeatures):
        line(x[:, f])
    line(y)
    line(w)
    line(coef)
    line(errors)
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


def print_columns(x):
    for f in range(x.shape[1]):
        print(" ".join("%.9g" % v for v in x[:, f]))


def boosting(name, rng, n, eta, lam, max_leaves, min_weight, rounds, monotone=None, weighted=False):
    """XGBoost on features of few values, so that bins are exact; 5 columns, the last two with gaps."""
    x = rng.integers(0, 60, size=(n, 5)) / 8.0
    y = (x[:, 0] + np.sin(x[:, 1]) * 2 + (x[:, 2] > 3) * x[:, 3] + rng.normal(size=n)).astype(np.float32)
    x[rng.random(n) < 0.2, 3] = np.nan
    x[rng.random(n) < 0.1, 4] = np.nan
    w = rng.integers(1, 9, size=n) / 4.0 if weighted else np.ones(n)
    base = np.float32(np.average(y, weights=w))
    y = (y - base).astype(np.float32)
    y -= np.float32(np.average(y, weights=w))
    params = {"tree_method": "hist", "grow_policy": "lossguide", "max_depth": 0, "max_bin": 256,
              "max_leaves": max_leaves, "eta": eta, "lambda": lam, "min_child_weight": min_weight,
              "base_score": 0.0, "nthread": 1}
    if monotone:
        params["monotone_constraints"] = tuple(monotone)
    data = xgboost.DMatrix(x, y, weight=w)
    model = xgboost.train(params, data, rounds)
    print(name, n, eta, lam, max_leaves, min_weight, rounds)
    print_columns(x)
    line(y)
    line(w)
    line(model.predict(data))


def robust(name, rng, n, ntest, loss, alpha):
    """Heavy-tailed errors; scikit-learn's held-out error against the clean surface, or pinball loss."""
    def draw(m, tails):
        x = rng.normal(size=(m, 6)).astype(np.float32).astype(float)
        y = (2 * x[:, 0] + x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3]) + 1.5 * (x[:, 4] > 0.3))
        return x, y + (0.3 * rng.standard_t(2, size=m) if tails else 0)
    x, y = draw(n, True)
    xt, yt = draw(ntest, loss == "quantile")
    model = GradientBoostingRegressor(loss=loss, alpha=alpha, n_estimators=100, max_leaf_nodes=31, max_depth=None,
                                      learning_rate=0.1, min_samples_leaf=10, random_state=0).fit(x, y)
    p = model.predict(xt)
    print(name, n, ntest, alpha)
    print_columns(x)
    print_columns(xt)
    line(y)
    line(yt)
    line([mean_absolute_error(yt, p) if loss == "huber" else mean_pinball_loss(yt, p, alpha=alpha)])


def out_of_bag(name, rng, n):
    """scikit-learn's own out-of-bag error of a forest with the same parameters."""
    x = rng.normal(size=(n, 6)).astype(np.float32).astype(float)
    y = 2 * x[:, 0] + x[:, 1] * x[:, 2] + np.abs(x[:, 3]) + 0.5 * rng.normal(size=n)
    model = RandomForestRegressor(300, max_features=0.5, min_samples_leaf=3, oob_score=True, random_state=0).fit(x, y)
    print(name, n)
    print_columns(x)
    line(y)
    line([np.sqrt(np.mean((model.oob_prediction_ - y) ** 2))])


ridge("ridge_plain", np.random.default_rng(1), 60, 4, 1.0, False, [1, 1, 1, 1])
ridge("ridge_weighted", np.random.default_rng(2), 80, 5, 2.5, True, [1, 10, 0.1, 1, 3])
ridge("ridge_huge_scales", np.random.default_rng(3), 70, 4, 0.5, True, [1e-12, 1e15, 1, 1e6])
metrics("metrics_plain", np.random.default_rng(4), 101, False)
metrics("metrics_weighted", np.random.default_rng(5), 90, True)
huber("huber", np.random.default_rng(6), 200)
split("stump", np.random.default_rng(7), 300)
quality("quality", np.random.default_rng(8), 1200, 800, 8)
boosting("boosting_plain", np.random.default_rng(9), 500, 0.3, 1.0, 12, 5, 25)
boosting("boosting_weighted", np.random.default_rng(10), 400, 0.1, 3.5, 31, 2, 20, weighted=True)
boosting("boosting_monotone", np.random.default_rng(11), 600, 0.2, 1.0, 20, 3, 20, monotone=(1, -1, 1, 0, 0))
robust("robust_huber", np.random.default_rng(12), 1000, 600, "huber", 0.9)
robust("robust_quantile", np.random.default_rng(13), 1000, 600, "quantile", 0.8)
out_of_bag("out_of_bag", np.random.default_rng(14), 600)
