#!/usr/bin/python3
"""Writes test/unit/xgboost/: models that XGBoost trained, rows, and what it predicts for them.

    OMP_NUM_THREADS=1 /usr/bin/python3 test/unit/goldens_xgboost.py

NAME.json is the model, NAME.rows has one row per line, its features and then
XGBoost's prediction, all of them floats in C's hexadecimal notation or nan.
NAME.shap has its contributions for the last rows, a row per line, the bias last.
Half of the rows stand exactly at a threshold of the model, or at the float
before or after it.  Made with XGBoost 1.7.4.
"""
import json
import os

import numpy as np
import xgboost

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "xgboost")
EDGES = np.array([0.0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38, 1.0], dtype=np.float32)
NROWS = 200
SHAP_ROWS = 60

CASES = {
    "depthwise": ({"max_depth": 4}, 0.5, 12),
    "lossguide": ({"grow_policy": "lossguide", "max_leaves": 15, "max_depth": 0, "tree_method": "hist"}, 3.25, 12),
    "parallel": ({"max_depth": 3, "num_parallel_tree": 4, "subsample": 0.5, "eta": 1.0}, -7.1, 3),
    "absolute": ({"max_depth": 3, "objective": "reg:absoluteerror"}, 1.0, 10),
    "huber": ({"max_depth": 3, "objective": "reg:pseudohubererror"}, 0.0, 10),
    "pruned": ({"max_depth": 4, "gamma": 60.0, "tree_method": "exact"}, 2.0, 10),
    "no_trees": ({}, 4.0, 0),
}


def data(rng):
    x = rng.normal(size=(NROWS * 5, 4)).astype(np.float32)
    x[:, 1] = np.round(x[:, 1])
    x[:, 2] = rng.choice(EDGES, size=len(x))
    x[rng.random(x.shape) < 0.15] = np.nan
    known = np.nan_to_num(x, posinf=0, neginf=0)
    y = 2 * known[:, 0] + known[:, 1] ** 2 + (x[:, 2] > 0) + 3.0 * (x[:, 2] > 1e30) - 2.0 * (x[:, 2] < 0)
    return x, y + np.isnan(x[:, 3]) + rng.normal(size=len(x)) * 0.1


def at_thresholds(model, x, rng):
    """Rows of x with one feature moved to a threshold or one float beside it."""
    rows = []
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        for left, feature, at in zip(tree["left_children"], tree["split_indices"], tree["split_conditions"]):
            at = np.float32(at)
            for value in (at, *np.nextafter(at, np.array([-np.inf, np.inf], dtype=np.float32))):
                if left != -1 and np.isfinite(value):
                    row = x[rng.integers(len(x))].copy()
                    row[feature] = value
                    rows.append(row)
    rng.shuffle(rows)
    return np.array(rows[:NROWS // 2], dtype=np.float32).reshape(-1, x.shape[1])


def main():
    os.makedirs(HERE, exist_ok=True)
    for number, (name, (params, base_score, rounds)) in enumerate(CASES.items()):
        rng = np.random.default_rng(number)
        x, y = data(rng)
        params = {"objective": "reg:squarederror", "nthread": 1, "seed": number, "base_score": base_score, **params}
        booster = xgboost.train(params, xgboost.DMatrix(x, y), rounds)
        path = os.path.join(HERE, name + ".json")
        booster.save_model(path)
        with open(path) as file:
            moved = at_thresholds(json.load(file), x, rng)
        rows = np.vstack([x[:NROWS - len(moved)], moved])
        with open(os.path.join(HERE, name + ".rows"), "w") as file:
            for row, prediction in zip(rows, booster.predict(xgboost.DMatrix(rows))):
                file.write(" ".join(float(v).hex() for v in [*row, prediction]) + "\n")
        with open(os.path.join(HERE, name + ".shap"), "w") as file:
            for row in booster.predict(xgboost.DMatrix(rows[-SHAP_ROWS:]), pred_contribs=True):
                file.write(" ".join("%.9g" % v for v in row) + "\n")


if __name__ == "__main__":
    main()
