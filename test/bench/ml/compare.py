"""Times build/bench/ml beside scikit-learn and XGBoost on the same seeded data; see run.

Each line is one fit: CPU seconds of both, their ratio beside its bar, held-out
R2 of both, microseconds of one of our predictions, megabytes of our model, and
peak megabytes of both fits.  Ours and theirs are measured in turn, short fits
three times; the smallest CPU time counts.

XGBoost is timed whole (making the DMatrix or QuantileDMatrix, whichever gives
the faster whole, and training) and for training alone.  Peak memory is VmHWM
at the end of the fit less VmRSS when it begins, each in a process of its own, so
neither the data nor Python counts.

Data: "friedman" (Friedman 1991, uniform features of which five matter),
"curved" (12 normal features: a linear part, a wave, a product, a bend),
"straight" (linear).  The best possible R2 of the first two is 0.971.  "real":
what test/bench/ml/real dumped to the folder REAL_ROWS, a random fifth held out;
missing values are -1 for scikit-learn, which does not take them, and for us
beside it.
"""
import json
import os
import subprocess
import sys
import time
import warnings

import numpy as np

CEILING = 0.971
TEST_ROWS = 20000
BINARY, DIR = sys.argv[1:3]
ASKED = sys.argv[3:]
FULL = "full" in ASKED


def noisy(rng, y):
    return y + rng.normal(size=len(y)) * y.std() * np.sqrt(1 / CEILING - 1)


def friedman(rng, n, features):
    x = rng.uniform(size=(n, features)).astype(np.float32)
    y = (10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - .5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4])
    return x, noisy(rng, y.astype(float))


def curved(rng, n, features):
    x = rng.normal(size=(n, features))
    y = (1.2 * x[:, 0] + x[:, 1] + .8 * x[:, 2] + .7 * x[:, 3] + .6 * x[:, 4] +
         1.2 * np.sin(2 * x[:, 5]) + .7 * x[:, 6] * x[:, 7] + .5 * np.abs(x[:, 8]))
    return x.astype(np.float32), noisy(rng, y)


def straight(rng, n, features):
    x = rng.normal(size=(n, features)).astype(np.float32)
    return x, x.astype(float) @ np.linspace(-1, 1, features) + 2 * rng.normal(size=n)


def executions(rng, name, missing):
    from rows import load
    d = load(os.environ["REAL_ROWS"], name)
    order = rng.permutation(len(d["y"]))
    return np.nan_to_num(d["x"], nan=missing)[order], d["y"][order]


class Data:
    """Train and test rows, in memory for the peer and in files for us."""

    def __init__(self, draw, n, features):
        self.put(*draw(np.random.default_rng(n + features), n + TEST_ROWS, features), n)

    def put(self, x, y, n):
        self.train, self.test = (x[:n], y[:n]), (x[n:], y[n:])
        self.shape = self.train[0].shape
        self.files = [f"{DIR}/bench.train", f"{DIR}/bench.test"]
        for path, (xs, ys) in zip(self.files, (self.train, self.test)):
            with open(path, "wb") as out:
                np.array(xs.shape, dtype=np.int64).tofile(out)
                np.ascontiguousarray(xs.T).tofile(out)
                ys.tofile(out)


def ours(kind, data, params=()):
    out = subprocess.run([BINARY, kind, *data.files, *params],
                         check=True, capture_output=True, text=True).stdout.split()
    seconds, r2, us, size, _, peak = (float(v) for v in out)
    return {"whole": seconds, "r2": r2, "us": us, "size": size / 1e6, "peak": peak / 1e6}


def memory(name):
    for line in open("/proc/self/status"):
        if line.startswith(name):
            return float(line.split()[1]) * 1024 / 1e6


def in_a_child(work):
    """The dict that work returns, with the peak megabytes it took, from a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        before = memory("VmRSS:")
        found = work()
        found["peak"] = max(memory("VmHWM:") - before, 0)
        os.write(write, json.dumps({k: float(v) for k, v in found.items()}).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        found = answer.read()
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("compare: the peer failed")
    return json.loads(found)


def r2(p, y):
    return 1 - np.mean((p - y) ** 2) / np.var(y)


def sklearn_fit(make, data):
    def work():
        start = time.process_time()
        model = make().fit(*data.train)
        seconds = time.process_time() - start
        return {"whole": seconds, "train": seconds, "r2": model.score(*data.test)}
    return in_a_child(work)


def xgboost_fit(matrix, data):
    import xgboost

    def work():
        x, y = data.train
        params = dict(tree_method="hist", grow_policy="lossguide", max_leaves=31, max_depth=0, max_bin=256,
                      nthread=1, learning_rate=.1, reg_lambda=1, min_child_weight=10, base_score=y.mean())
        binned = {"max_bin": 256} if matrix == "QuantileDMatrix" else {}
        start = time.process_time()
        train = getattr(xgboost, matrix)(x, y, nthread=1, **binned)
        made = time.process_time()
        model = xgboost.train(params, train, 100)
        end = time.process_time()
        p = model.predict(xgboost.DMatrix(data.test[0]))
        return {"whole": end - start, "train": end - made, "r2": r2(p, data.test[1])}
    return in_a_child(work)


def xgboost_best(data):
    fits = [xgboost_fit(matrix, data) for matrix in ("DMatrix", "QuantileDMatrix")]
    best = min(fits, key=lambda fit: fit["whole"])
    return dict(best, train=min(fit["train"] for fit in fits), peak=min(fit["peak"] for fit in fits))


def compare(label, kind, data, peer, bar, scale=1):
    turns = 3 if data.shape[0] < 50000 or kind == "linear_regression" else 1
    mine, other = [], []
    for _ in range(turns):
        mine.append(ours(kind, data, ("loss=0",) if kind == "gradient_boosting" else ()))  # squared, as the peer's
        other.append(peer())
    best = {key: min(m[key] for m in mine) for key in mine[0]}
    them = {key: min(o[key] for o in other) for key in other[0]}
    whole, train = them["whole"] * scale, them["train"] * scale
    alone = f"{best['whole'] / train:6.3f}" if train < whole else "      "
    print(f"{label:19s} {data.shape[0]:7d} x {data.shape[1]:2d} {best['whole']:9.4f} {whole:9.4f}"
          f"{'*' if scale > 1 else ' '} {best['whole'] / whole:6.3f} {alone} (bar {bar})  "
          f"{best['r2']:7.4f} {them['r2']:7.4f}  {best['us']:6.2f} {best['size']:8.3f}  "
          f"{best['peak']:7.1f} {them['peak']:7.1f}", flush=True)


def boosting():
    for features in (12, 40):
        for n in (1000, 10000, 100000) + ((1000000,) if FULL else ()):
            data = Data(friedman, n, features)
            compare("boosting", "gradient_boosting", data, lambda: xgboost_best(data), 0.6)


def tree():
    from sklearn.tree import DecisionTreeRegressor
    for n in (1000, 10000, 100000):
        data = Data(curved, n, 12)
        compare("tree", "decision_tree", data,
                lambda: sklearn_fit(lambda: DecisionTreeRegressor(random_state=0), data), 0.1)


def forest():
    from sklearn.ensemble import RandomForestRegressor
    for n in (1000, 10000, 100000):
        trees = 100 if FULL or n < 100000 else 10
        data = Data(curved, n, 12)
        compare("forest", "random_forest", data,
                lambda: sklearn_fit(lambda: RandomForestRegressor(trees, random_state=0, n_jobs=1), data),
                0.1, 100 / trees)
    if not FULL:
        print("* scikit-learn's forest had 10 trees there and its time is taken ten times; full fits 100")


def ridge():
    from sklearn.linear_model import Ridge
    for features in (12, 40):
        for n in (1000, 10000, 100000):
            data = Data(straight, n, features)
            compare("ridge", "linear_regression", data,
                    lambda: sklearn_fit(lambda: Ridge(solver="cholesky"), data), 0.7)


def real():
    """Each kind on what was dumped, the peer on the same rows; the bars are meant for 100k rows."""
    warnings.filterwarnings("ignore", "Ill-conditioned")
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Ridge
    from sklearn.tree import DecisionTreeRegressor
    for name in ("corpus", "live", "tenants"):
        for label, kind, make, bar in (
                ("boosting", "gradient_boosting", None, 0.6),
                ("forest", "random_forest", lambda: RandomForestRegressor(100, random_state=0, n_jobs=1), 0.1),
                ("tree", "decision_tree", lambda: DecisionTreeRegressor(random_state=0), 0.1),
                ("ridge", "linear_regression", lambda: Ridge(solver="cholesky"), 0.7)):
            x, y = executions(np.random.default_rng(1), name, -1 if make else np.nan)
            data = Data.__new__(Data)
            data.put(x, y, len(y) * 4 // 5)
            compare(f"{label} on {name}", kind, data, lambda: sklearn_fit(make, data) if make else xgboost_best(data), bar)


def predict():
    for features in (12, 40):
        data = Data(friedman, 10000, features)
        us = min(ours("gradient_boosting", data)["us"] for _ in range(3))
        print(f"one prediction of 100 trees x 31 leaves x {features} features: {us:.2f} us (bar 2)", flush=True)


def shap():
    """Both explain the same rows by the same trees: XGBoost trains and saves them, we read them."""
    import xgboost
    for draw, features in ((friedman, 12), (friedman, 40), (straight, 40)):
        data = Data(draw, 10000, features)
        x, y = data.train
        params = dict(tree_method="hist", grow_policy="lossguide", max_leaves=31, max_depth=0, max_bin=256,
                      nthread=1, learning_rate=.1, reg_lambda=1, min_child_weight=10, base_score=y.mean())
        model = xgboost.train(params, xgboost.DMatrix(x, y, nthread=1), 100)
        model.save_model(f"{DIR}/bench.json")
        rows = xgboost.DMatrix(data.test[0][:2000], nthread=1)
        mine, other = [], []
        for _ in range(3):
            start = time.process_time()
            theirs = model.predict(rows, pred_contribs=True)
            other.append((time.process_time() - start) * 1e6 / len(theirs))
            out = subprocess.run([BINARY, "shap", f"{DIR}/bench.json", data.files[1], f"{DIR}/bench.shap"],
                                 check=True, capture_output=True, text=True).stdout.split()
            mine.append(float(out[0]))
        contributions = np.fromfile(f"{DIR}/bench.shap").reshape(theirs.shape)
        print(f"TreeSHAP {draw.__name__} 100 trees x 31 leaves x {features} features, us per row: {min(mine):.1f}, "
              f"XGBoost {min(other):.1f}, ratio {min(mine) / min(other):.3f} (bar 0.35); off the prediction by {out[1]} "
              f"(bar 1e-9), from XGBoost's by {np.abs(contributions - theirs).max():.1e} "
              f"where they are up to {np.abs(theirs[:, :-1]).max():.1f}", flush=True)


TOPICS = {"boosting": boosting, "tree": tree, "forest": forest, "ridge": ridge, "predict": predict, "shap": shap,
          "real": real}

print("model                  rows    f    ours s    peer s   ratio  train            R2 ours    peer  us/row model MB"
      "  peak MB    peer")
for name, topic in TOPICS.items():
    if name in ASKED or (not set(ASKED) & set(TOPICS) and (name != "real" or "REAL_ROWS" in os.environ)):
        topic()
