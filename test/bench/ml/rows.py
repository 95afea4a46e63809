"""Reads what test/bench/ml/real dumped; writes it for the C programs here."""
import numpy as np

SEEDS, FOLDS = 5, 5
PAST = {"query_calls_per_hour", "concurrent_queries_avg", "std_dev_calls", "peak_hour_calls"}
LEAST_RUNS = 3      # fewer are statements of the setup


def load(folder, name):
    """Rows ordered by statement and time; statements numbered from 0."""
    features = [text.strip() for text in open(f"{folder}/features")]
    fields = [text.rstrip("\n").split("\t") for text in open(f"{folder}/{name}.rows")]
    queryid = np.array([int(f[0]) for f in fields])
    at = np.array([float(f[1]) for f in fields])
    ids, runs = np.unique(queryid, return_counts=True)
    order = np.lexsort((at, queryid))
    order = order[np.isin(queryid[order], ids[runs >= LEAST_RUNS])]
    ids, group = np.unique(queryid[order], return_inverse=True)
    fields = [fields[i] for i in order]
    return {
        "features": features,
        "cold": [i for i, f in enumerate(features) if not f.startswith("lag_") and f not in PAST],
        "ids": ids,
        "group": group.astype(np.int32),
        "ngroups": len(ids),
        "at": at[order],
        "y": np.array([float(f[2]) for f in fields]),
        "plan": np.array([int(f[3]) for f in fields]),
        "single": np.array([int(f[4]) for f in fields], dtype=np.uint8),
        "x": np.array([f[5][1:-1].split(",") for f in fields], dtype=np.float32),
    }


def save(d, path):
    """The format that stages.c describes; bench.c reads its beginning."""
    with open(path, "wb") as out:
        np.array(d["x"].shape, dtype=np.int64).tofile(out)
        np.ascontiguousarray(d["x"].T).tofile(out)
        for key in ("y", "group", "plan", "at", "single"):
            d[key].tofile(out)


def folds(d, path):
    """Per seed, a fold for every statement."""
    fold_of = np.array([np.random.default_rng(seed).permutation(d["ngroups"]) % FOLDS for seed in range(SEEDS)])
    with open(path, "wb") as out:
        np.array([SEEDS, FOLDS], dtype=np.int32).tofile(out)
        fold_of.astype(np.int32).tofile(out)
    return fold_of
