#!/usr/bin/env python3
"""Goldens of the statistics: scipy 1.17.1 and statsmodels 0.15.0.

    pip install scipy==1.17.1 statsmodels==0.15.0
    python3 tests/golden/make_statistics.py > tests/golden/statistics.json
"""

import json
import math

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

random = np.random.default_rng(2012)


def difference(values, delta, level):
    described = DescrStatsW(values)
    case = {
        "values": list(values),
        "delta": delta,
        "level": level,
        "interval_95": list(described.tconfint_mean(0.05)),
        "interval_90": list(described.tconfint_mean(0.10)),
        "interval_adjusted": list(described.tconfint_mean(level)),
        "interval_adjusted_equivalence": list(described.tconfint_mean(2 * level)),
        "p": stats.ttest_1samp(values, 0.0).pvalue,
        "p_equivalence": described.ttost_mean(-delta, delta)[0],
    }
    if len(values) <= 12:
        case["p_sign_flip"] = stats.permutation_test(
            (np.asarray(values),), np.mean, permutation_type="samples", n_resamples=math.inf
        ).pvalue
    if len(values) >= 10:
        found = stats.bootstrap(
            (np.asarray(values),), np.mean, n_resamples=10_000, method="percentile", random_state=random
        ).confidence_interval
        case["bootstrap"] = [found.low, found.high]
    return case


def equivalence(mean, sd, seeds, delta, level):
    samples = random.normal(mean, sd, (200_000, seeds))
    half = stats.t.ppf(1 - level, seeds - 1) * samples.std(axis=1, ddof=1) / math.sqrt(seeds)
    means = samples.mean(axis=1)
    return float(((means - half > -delta) & (means + half < delta)).mean())


def power(mean, sd, seeds, delta, level=0.05):
    found = TTestPower().power(effect_size=mean / sd, nobs=seeds, alpha=level, alternative="two-sided")
    return {
        "mean": mean, "sd": sd, "seeds": seeds, "delta": delta, "level": level, "power": float(found),
        "power_equivalence": equivalence(mean, sd, seeds, delta, level),
    }  # fmt: skip


def seeds(mean, sd, level=0.05):
    for n in range(2, 1001):
        if TTestPower().power(mean / sd, n, level) >= 0.8:
            return {"mean": mean, "sd": sd, "level": level, "seeds": n}
    return {"mean": mean, "sd": sd, "level": level, "seeds": None}


print(json.dumps({
    "differences": [
        difference([1.0, 2.0, 3.0, 4.0, 5.0], 0.3, 0.025),
        difference([0.05, -0.05, 0.02, -0.03, 0.01], 0.3, 0.05),
        difference([1.44, 0.2, 2.9, 1.1, 1.6], 0.3, 0.05 / 3),
        difference([-5.0, -9.1, -1.1], 2.0, 0.05 / 12),
        difference([0.3, 0.1], 0.3, 0.01),
        difference([float(x) for x in np.round(random.normal(0.5, 1.0, 12), 3)], 0.3, 0.05 / 40),
        difference([float(x) for x in np.round(random.normal(0.0, 0.2, 30), 3)], 0.3, 0.0001),
    ],
    "holm": [
        {"p": p, "corrected": list(multipletests(p, method="holm")[1])}
        for p in ([0.04], [0.01, 0.04, 0.03], [0.5, 0.6], [0.001, 0.001, 0.2, 0.9])
    ],
    "power": [
        power(1.4, 1.0, 5, 0.3), power(0.2, 0.7, 5, 1.0), power(0.0, 0.2, 10, 0.3),
        power(-0.5, 1.0, 40, 0.3), power(0.1, 0.3, 3, 1.0),
        power(1.4, 1.0, 5, 0.3, 0.025), power(0.2, 0.7, 16, 1.0, 0.05 / 15),
    ],
    "seeds": [seeds(1.4, 1.0), seeds(0.22, 0.672), seeds(0.01, 1.0), seeds(-3.0, 0.5), seeds(1.4, 1.0, 0.0125)],
    "mcnemar": [
        {"first_alone": b, "second_alone": c, "p": float(mcnemar([[9, b], [c, 0]], exact=True).pvalue)}
        for b, c in ((10, 3), (0, 5), (412, 370), (7, 7))
    ],
    "proportions": [
        {"count": k, "of": n, "interval": list(stats.binomtest(k, n).proportion_ci(method="exact"))}
        for k, n in ((0, 10), (36, 150), (10, 10), (918, 10_000))
    ],
}, indent=1))  # fmt: skip
