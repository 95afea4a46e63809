"""Judges what is learnt from real data, beside XGBoost and simple answers; see learn.

usage: learn.py BINARY DIR [text]     text: only what was asked through SQL

Tables with their bars:
- statements never seen: whole statements of the corpus held out in turn, five
  seeds; from each execution's plan, nothing known of its statement
- statements that run again: the newest fifth of the workload
- statements whose time depends on a parameter: the same
- the same two questions asked of a server, through SQL, by text

XGBoost learns from the same rows and features, log ms as target, or the
departure from the same cost line.  A q-error is the larger through the smaller.
"""
import re
import subprocess
import sys

import numpy as np
import xgboost

import corpus
from rows import FOLDS, SEEDS, folds, load, save

BINARY, DIR = sys.argv[1:3]
ANSWER = [(name, "f8") for name in ("center", "lower", "upper", "source", "novel")]
XGBOOST = dict(tree_method="hist", grow_policy="lossguide", max_leaves=31, max_depth=0, max_bin=256,
               nthread=1, learning_rate=.1)
MISSED = []


def bar(holds, text):
    if not holds:
        MISSED.append(text)
    return f"{text}: {'met' if holds else 'MISSED'}"


def q(y, p):
    return np.exp(np.abs(y - p))


def figures(y, p):
    return list(np.percentile(q(y, p), [50, 90, 95])) + [np.mean(np.abs(y - p))]


def line(x, y):
    """The line of least absolute error, by reweighting."""
    a = np.c_[np.ones(len(x)), x]
    w = np.ones(len(x))
    for _ in range(50):
        b = np.linalg.lstsq(a * np.sqrt(w)[:, None], y * np.sqrt(w), rcond=None)[0]
        w = 1 / np.maximum(np.abs(y - a @ b), 1e-3)
    return b


def xgb(x, y, test):
    model = xgboost.train(XGBOOST, xgboost.DMatrix(x, y), 100)
    return model.predict(xgboost.DMatrix(test))


def table(rows):
    print(f"{'':48s} {'q p50':>7s} {'p90':>7s} {'p95':>7s} {'MAE ln':>7s}  90 % interval covers, times wide")
    for name, y, p, *interval in rows:
        covers = ""
        if interval:
            lower, upper = interval
            covers = f"  {100 * np.mean((y >= lower) & (y <= upper)):5.1f} %  {np.exp(np.median(upper - lower)):6.2f}"
        print(f"{name:48s} " + " ".join(f"{v:7.3f}" for v in figures(y, p)) + covers)


def shape(text):
    """A statement without its constants, whoever replaced them."""
    return re.sub(r"\$\d+|'[^']*'|\{[^}]*\}|\b\d+\b", "?", re.sub(r"\s+", " ", text)).replace("'?'", "?").replace("??", "?")


def systematic(d):
    """Which statements are joins and pairs that the corpus repeats; the others stand alone."""
    repeated = {shape(text) for text in corpus.statements()[0][:-len(corpus.SPECIAL)]}
    texts = dict(line.rstrip("\n").split("\t") for line in open(f"{DIR}/corpus.statements"))
    return np.array([shape(texts[str(i)]) in repeated for i in d["ids"]])


def never_seen():
    d = load(DIR, "corpus")
    x, y, group = d["x"], d["y"], d["group"]
    fold_of = folds(d, f"{DIR}/corpus.folds")
    save(d, f"{DIR}/corpus.bin")
    subprocess.run([BINARY, "cold", f"{DIR}/corpus.bin", f"{DIR}/corpus.folds", f"{DIR}/corpus.answers"], check=True)
    mine = np.fromfile(f"{DIR}/corpus.answers", ANSWER).reshape(SEEDS, len(y))
    cost = d["features"].index("log_cost")
    cold = d["cold"]
    simple, absolute, departure = (np.zeros((SEEDS, len(y))) for _ in range(3))
    for seed in range(SEEDS):
        for fold in range(FOLDS):
            out = fold_of[seed][group] == fold
            b = line(x[~out, cost], y[~out])
            at = b[0] + b[1] * x[:, cost]
            simple[seed, out] = at[out]
            absolute[seed, out] = xgb(x[~out][:, cold], y[~out], x[out][:, cold])
            departure[seed, out] = at[out] + xgb(x[~out][:, cold], (y - at)[~out], x[out][:, cold])
    ys = np.tile(y, (SEEDS, 1)).ravel()
    print(f"\nStatements never seen: {d['ngroups']} statements, {len(np.unique(d['plan']))} plans, {len(y)} executions, "
          f"{SEEDS} seeds x {FOLDS} folds of whole statements")
    table([("cost only, robust line", ys, simple.ravel()),
           ("XGBoost, log ms", ys, absolute.ravel()),
           ("XGBoost, departure from the cost line", ys, departure.ravel()),
           ("served", ys, mine["center"].ravel(), mine["lower"].ravel(), mine["upper"].ravel())])
    repeated = systematic(d)
    for what, rows in ((f"{repeated.sum()} of joins and pairs", repeated[group]),
                       (f"{(~repeated).sum()} constructs that stand alone", ~repeated[group])):
        ys_of = np.tile(y[rows], (SEEDS, 1)).ravel()
        table([(f"{what}: XGBoost", ys_of, absolute[:, rows].ravel()),
               (f"{what}: served", ys_of, *(mine[k][:, rows].ravel() for k in ("center", "lower", "upper")))])
    s, c = figures(ys, mine["center"].ravel()), figures(ys, simple.ravel())
    novel = mine["novel"].ravel() == 1
    inside = ((ys >= mine["lower"].ravel()) & (ys <= mine["upper"].ravel()))[novel]
    print(bar(d["ngroups"] >= 200 and len(np.unique(d["plan"])) >= 200, "at least 200 statements and plan shapes"))
    print(bar(s[0] <= 1.02 * c[0], f"p50 {s[0]:.3f} <= 1.02 x {c[0]:.3f} of cost only"))
    print(bar(s[1] <= 2 / 3 * c[1], f"p90 {s[1]:.2f} <= 2/3 x {c[1]:.2f} of cost only"))
    print(bar(s[1] <= 5, f"p90 {s[1]:.2f} <= 5 (aim 3)"))
    print(bar(inside.mean() >= .85, f"intervals of novel plans ({novel.mean():.0%} of all) cover {inside.mean():.1%} >= 85 %"))


def served(name):
    """Rows of the newest fifth, with what served, XGBoost and the running median say."""
    d = load(DIR, name)
    save(d, f"{DIR}/{name}.bin")
    subprocess.run([BINARY, "live", f"{DIR}/{name}.bin", f"{DIR}/{name}.answers"], check=True)
    mine = np.fromfile(f"{DIR}/{name}.answers", ANSWER).reshape(len(d["y"]), 2)
    test = ~np.isnan(mine["center"][:, 0])
    model = xgb(d["x"][~test], d["y"][~test], d["x"])
    running = np.full(len(d["y"]), np.nan)
    spread = np.zeros(d["ngroups"])
    for g in range(d["ngroups"]):
        rows = np.where(d["group"] == g)[0]
        y = d["y"][rows]
        for k in range(1, len(rows)):
            running[rows[k]] = np.median(y[max(0, k - 32):k])
        spread[g] = np.exp(np.subtract(*np.percentile(y, [90, 10]))) if len(y) >= 20 else np.nan
        d.setdefault("range", np.zeros(d["ngroups"]))[g] = np.exp(np.subtract(*np.percentile(y, [98, 2])))
    test &= ~np.isnan(running)
    return d, mine, test, model, running, spread


def again():
    d, mine, test, model, running, spread = served("live")
    y, stable = d["y"], (spread <= 3)[d["group"]]
    print(f"\nStatements that run again: the newest fifth of {len(y)} executions, {int(np.nansum(spread <= 3))} stable statements "
          "(the middle 80 % of their times within a factor of 3)")
    for what, rows, share in (("1 ms and more", test & stable & (running >= 0), 1.02),
                              ("under 1 ms", test & stable & (running < 0), 1.05)):
        if not rows.any():
            continue
        table([(f"{what}: own running median of 32", y[rows], running[rows]),
               (f"{what}: XGBoost, log ms, from its own plan", y[rows], model[rows]),
               (f"{what}: served, by query identifier", y[rows], *(mine[k][rows, 0] for k in ("center", "lower", "upper")))])
        s, r = figures(y[rows], mine["center"][rows, 0]), figures(y[rows], running[rows])
        print(bar(s[0] <= share * r[0], f"{what}: p50 {s[0]:.3f} <= {share} x {r[0]:.3f}"))
        print(bar(s[1] <= share * r[1], f"{what}: p90 {s[1]:.3f} <= {share} x {r[1]:.3f}"))


def by_parameter():
    d, mine, test, model, running, _ = served("tenants")
    y, wide = d["y"], (d["range"] >= 30)[d["group"]]
    rows = test & wide
    print(f"\nStatements whose time depends on a parameter: {int((d['range'] >= 30).sum())} statements that spread 30-fold and more, "
          f"the newest fifth of {int(wide.sum())} executions")
    table([("own running median of 32", y[rows], running[rows]),
           ("XGBoost, log ms, from its own plan", y[rows], model[rows]),
           ("served, from its own plan", y[rows], *(mine[k][rows, 1] for k in ("center", "lower", "upper"))),
           ("served, by query identifier", y[rows], *(mine[k][rows, 0] for k in ("center", "lower", "upper")))])
    own, ahead, r = (figures(y[rows], p[rows]) for p in (mine["center"][:, 1], mine["center"][:, 0], running))
    inside = ((y >= mine["lower"][:, 0]) & (y <= mine["upper"][:, 0]))[rows].mean()
    print(bar(own[3] <= r[3] / 2, f"from its own plan: mean absolute log error {own[3]:.3f} <= half of {r[3]:.3f}"))
    print(bar(own[1] <= 2, f"from its own plan: p90 {own[1]:.2f} <= 2"))
    print(bar(ahead[3] <= 1.02 * r[3], f"by query identifier: mean absolute log error {ahead[3]:.3f} not worse than {r[3]:.3f}"))
    print(bar(inside >= .88, f"by query identifier: the interval covers {inside:.1%} >= 88 %"))


def unseen_by_text(name):
    """Statements left out of a server's memory, predicted by their texts."""
    fields = [text.rstrip("\n").split("\t") for text in open(f"{DIR}/{name}.unseen")]
    number = np.array([[float(v) if v != "\\N" else np.nan for v in f[:8]] for f in fields])
    seed, fold, _, y, cost, center, lower, upper = number.T
    simple = np.zeros(len(y))
    for s in np.unique(seed):
        for k in np.unique(fold):
            out = (seed == s) & (fold == k)
            b = line(cost[(seed == s) & ~out], y[(seed == s) & ~out])
            simple[out] = b[0] + b[1] * cost[out]
    known = ~np.isnan(center)
    print(f"\nBy text, {name}: {len(np.unique(number[:, 2]))} statements never seen, {len(y) // len(np.unique(seed))} texts, "
          f"{len(np.unique(seed))} seeds; answered {known.mean():.1%}")
    table([("cost only, robust line", y[known], simple[known]),
           ("predict_query_execution(text)", y[known], center[known], lower[known], upper[known])])
    s, c = figures(y[known], center[known]), figures(y[known], simple[known])
    print(bar(known.all(), "every text is answered"))
    print(bar(s[0] <= 1.02 * c[0], f"p50 {s[0]:.3f} <= 1.02 x {c[0]:.3f} of cost only"))
    print(bar(s[1] <= 2 / 3 * c[1], f"p90 {s[1]:.2f} <= 2/3 x {c[1]:.2f} of cost only"))
    print(bar(s[1] <= 5, f"p90 {s[1]:.2f} <= 5 (aim 3)"))


def ahead_by_text(name):
    """Texts predicted one by one right before they ran, beside what their statement's runs before say."""
    fields = [text.rstrip("\n").split("\t") for text in open(f"{DIR}/{name}.ahead")]
    ids = np.array([f[0] for f in fields])
    y, cost, center, lower, upper = np.array([[float(v) if v != "\\N" else np.nan for v in f[1:6]] for f in fields]).T
    asked = ~np.isnan(center)
    b = line(cost[~asked], y[~asked])
    running, wide = np.full(len(y), np.nan), np.zeros(len(y), dtype=bool)
    for one in np.unique(ids):
        rows = np.where(ids == one)[0]
        wide[rows] = np.exp(np.subtract(*np.percentile(y[rows], [98, 2]))) >= 30
        for k in range(1, len(rows)):
            running[rows[k]] = np.median(y[rows[max(0, k - 32):k]])
    asked &= ~np.isnan(running)
    for what, rows in (("spread 30-fold and more", asked & wide), ("steadier", asked & ~wide)):
        if not rows.any():
            continue
        print(f"\nBy text, {name}: {len(np.unique(ids[rows]))} statements, {what}, {rows.sum()} texts predicted right before they ran")
        table([("own running median of 32", y[rows], running[rows]),
               ("cost only, robust line", y[rows], b[0] + b[1] * cost[rows]),
               ("predict_query_execution(text)", y[rows], center[rows], lower[rows], upper[rows])])
        s, r = figures(y[rows], center[rows]), figures(y[rows], running[rows])
        if what == "steadier":
            continue
        print(bar(s[3] <= r[3] / 2, f"mean absolute log error {s[3]:.3f} <= half of {r[3]:.3f}"))
        print(bar(s[1] <= 2, f"p90 {s[1]:.2f} <= 2"))


if "text" not in sys.argv[3:]:
    never_seen()
    again()
    by_parameter()
unseen_by_text("corpus")
unseen_by_text("live")
ahead_by_text("tenants")
ahead_by_text("live")
print(f"\n{len(MISSED)} bars missed" + "".join(f"\n  {text}" for text in MISSED))
