#!/usr/bin/python3
"""What 402_exchange.pl asks of XGBoost; see there.

    exchange.py check NATIVE JSON ROWS     largest difference of predictions, relative to 1 or more
    exchange.py train NAMES ROWS JSON      a regression of log ms, saved
    exchange.py predict JSON ROWS          one prediction per line

NATIVE holds export_model(id) in hexadecimal, JSON what save_model() writes,
NAMES a name per line, ROWS "log_ms|f1,f2,..." per line, of which predict
needs no log_ms.  Native bytes are read here as src/ml/FORMAT.md says, without
the library under test.
"""
import struct
import sys

import numpy as np
import xgboost


def read_rows(path):
    y, x = [], []
    with open(path) as file:
        for line in file.read().split():
            target, features = line.split("|")
            y.append(float(target or "nan"))
            x.append([float(v) for v in features.split(",")])
    return np.array(y), np.array(x, dtype=np.float32)


class Native:
    """Trees out of the learner in native bytes."""

    def __init__(self, data):
        at = data.index(b"PGAMLMOD")
        self.kind, = struct.unpack_from("<H", data, at + 10)
        self.base, count = struct.unpack_from("<di", data, at + 32)
        at += 44
        self.trees = []
        for _ in range(count):
            leaves, = struct.unpack_from("<i", data, at)
            at += 4
            nodes = [struct.unpack_from("<fHBBii", data, at + 20 * i) for i in range(leaves - 1)]
            at += 20 * (leaves - 1)
            values = [struct.unpack_from("<d", data, at + 12 * i)[0] for i in range(leaves)]
            at += 12 * leaves
            self.trees.append((nodes, values))

    def predict(self, row):
        total = 0.0
        for nodes, values in self.trees:
            at = 0 if nodes else -1
            while at >= 0:
                threshold, feature, missing_left, _, left, right = nodes[at]
                value = row[feature]
                goes_left = missing_left if np.isnan(value) else value <= threshold
                at = left if goes_left else right
            total += values[~at]
        return self.base + (total if self.kind == 4 else total / len(self.trees))


def load(path):
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(path)
    return booster


def predict(booster, x):
    return booster.predict(xgboost.DMatrix(x, feature_names=booster.feature_names))


def check(native_path, json_path, rows_path):
    with open(native_path) as file:
        native = Native(bytes.fromhex(file.read().strip()))
    booster = load(json_path)
    _, x = read_rows(rows_path)
    rng = np.random.default_rng(1)
    x = x[rng.permutation(len(x))[:500]]
    # rows at the thresholds themselves
    ties = []
    for nodes, _ in native.trees[:20]:
        for threshold, feature, *_ in nodes[:20]:
            for value in (threshold, np.nextafter(np.float32(threshold), np.float32(9e9))):
                row = x[rng.integers(len(x))].copy()
                row[feature] = value
                ties.append(row)
    x = np.vstack([x, np.array(ties, dtype=np.float32).reshape(-1, x.shape[1])])
    ours = np.array([native.predict(row) for row in x])
    theirs = predict(booster, x)
    print(booster.attr("pganalytics_ml_target"), len(booster.get_dump()) == len(native.trees), len(x) > 500,
          "%.3g" % np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(ours))))


def train(names_path, rows_path, json_path):
    with open(names_path) as file:
        names = file.read().split()
    y, x = read_rows(rows_path)
    params = {"objective": "reg:squarederror", "tree_method": "hist", "max_depth": 5, "eta": 0.2, "nthread": 1}
    booster = xgboost.train(params, xgboost.DMatrix(x, y, feature_names=names), 30)
    booster.save_model(json_path)


def main():
    what, *paths = sys.argv[1:]
    if what == "check":
        check(*paths)
    elif what == "train":
        train(*paths)
    else:
        for value in predict(load(paths[0]), read_rows(paths[1])[1]):
            print("%.9g" % value)


if __name__ == "__main__":
    main()
