"""Times build/bench/ml and scikit-learn on the same seeded data; see run.

The target is noisy and nonlinear: 12 standard normal features, a linear part,
a wave, a product, a bend; the best possible R2 is 0.971.  Ridge gets 40
features and a linear target.  Each short fit is measured three times, ours
and theirs in turn, and the smallest CPU time counts.
"""
import subprocess
import sys
import time

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

CEILING = 0.971
TEST_ROWS = 20000
BINARY, DIR = sys.argv[1:3]
FULL = "full" in sys.argv[3:]


def curved(rng, n):
    x = rng.normal(size=(n, 12))
    y = (1.2 * x[:, 0] + x[:, 1] + .8 * x[:, 2] + .7 * x[:, 3] + .6 * x[:, 4] +
         1.2 * np.sin(2 * x[:, 5]) + .7 * x[:, 6] * x[:, 7] + .5 * np.abs(x[:, 8]))
    return x.astype(np.float32), y + rng.normal(size=n) * y.std() * np.sqrt(1 / CEILING - 1)


def straight(rng, n):
    x = rng.normal(size=(n, 40)).astype(np.float32)
    return x, x.astype(float) @ np.linspace(-1, 1, 40) + 2 * rng.normal(size=n)


def save(path, x, y):
    with open(path, "wb") as out:
        np.array(x.shape, dtype=np.int64).tofile(out)
        np.ascontiguousarray(x.T).tofile(out)
        y.tofile(out)


def ours(kind, name, *params):
    out = subprocess.run([BINARY, kind, f"{DIR}/{name}.train", f"{DIR}/{name}.test", *params],
                         check=True, capture_output=True, text=True).stdout.split()
    return [float(v) for v in out]


def theirs(model, train, test):
    start = time.process_time()
    model.fit(*train)
    return time.process_time() - start, model.score(*test)


def compare(label, kind, name, make, train, test, bar, scale=1):
    turns = 3 if len(train[1]) < 50000 or kind == "linear_regression" else 1
    mine, other = [], []
    for _ in range(turns):
        mine.append(ours(kind, name))
        other.append(theirs(make(), train, test))
    fit = min(m[0] for m in mine)
    peer = min(o[0] for o in other) * scale
    print(f"{label:8s} {len(train[1]):7d} x {train[0].shape[1]:2d}  "
          f"{fit:9.4f} {peer:9.4f}  {fit / peer:6.3f} (bar {bar})   "
          f"{mine[0][1]:7.4f} {other[0][1]:7.4f}{'*' if scale > 1 else ' '}  "
          f"{min(m[2] for m in mine):7.2f}  {mine[0][3] / 1e6:8.3f}", flush=True)


print("model       rows   f   ours s   sklearn s  ratio             R2 ours sklearn   us/row  model MB")
for n in (1000, 10000, 100000):
    for name, draw in (("curved", curved), ("straight", straight)):
        x, y = draw(np.random.default_rng(n), n + TEST_ROWS)
        train, test = (x[:n], y[:n]), (x[n:], y[n:])
        save(f"{DIR}/{name}.train", *train)
        save(f"{DIR}/{name}.test", *test)
        if name == "straight":
            compare("ridge", "linear_regression", name, lambda: Ridge(solver="cholesky"), train, test, 0.7)
            continue
        compare("tree", "decision_tree", name, lambda: DecisionTreeRegressor(random_state=0), train, test, 0.1)
        trees = 100 if FULL or n < 100000 else 10
        compare("forest", "random_forest", name,
                lambda: RandomForestRegressor(trees, random_state=0, n_jobs=1), train, test, 0.1, 100 / trees)
if not FULL:
    print("* scikit-learn's forest had 10 trees there and its time is taken ten times; `run full` fits 100")

small = ours("random_forest", "curved", "max_leaves=31")
print(f"one prediction of 100 trees x 31 leaves: {small[2]:.2f} us (bar 2)")
