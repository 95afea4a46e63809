"""Generates statements whose time depends on a parameter, 30-fold and more.

usage: tenants.py SEED RUNS    RUNS executions of each, shuffled, for psql

Plans see the parameter, as they do for every statement that is sent with its
values or planned for them: one tenant owns nearly half of the events, ten own
a fiftieth each, thousands own a few dozen.  A third of the executions meets
each kind.
"""
import random
import sys


def tenant(rng):
    return rng.choice([1, rng.randint(2, 11), rng.randint(12, 4011)])


def span(rng):
    return round(250 ** rng.random())


def log_uniform(low, high):
    return lambda rng: round(low * (high / low) ** rng.random())


STATEMENTS = [
    ("SELECT count(*), sum(amount), max(at) FROM events WHERE tenant_id = {}", tenant),
    ("SELECT kind, count(*), avg(amount) FROM events WHERE tenant_id = {} GROUP BY kind ORDER BY 2 DESC", tenant),
    ("SELECT id, payload FROM events WHERE tenant_id = {} ORDER BY amount DESC LIMIT 20", tenant),
    ("SELECT count(DISTINCT payload) FROM events WHERE tenant_id = {}", tenant),
    ("SELECT kind, count(*) FROM events WHERE at < timestamp '2024-01-01' + {} * interval '1 day' GROUP BY kind", span),
    ("SELECT status, sum(total) FROM orders WHERE placed < timestamp '2024-01-01' + {} * interval '1 day' GROUP BY status", span),
    ("SELECT count(*), sum(i.price) FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.id < {}", log_uniform(10, 120000)),
    ("SELECT c.country, sum(o.total) FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id < {} GROUP BY c.country", log_uniform(2, 40000)),
    ("SELECT max(r) FROM (SELECT rank() OVER (ORDER BY price) AS r FROM order_items WHERE product_id < {}) x", log_uniform(2, 1500)),
]


def main():
    rng = random.Random(int(sys.argv[1]))
    runs = [(text, draw) for text, draw in STATEMENTS for _ in range(int(sys.argv[2]))]
    rng.shuffle(runs)
    print("SET search_path = shop, public;")
    for text, draw in runs:
        print(text.format(draw(rng)) + ";")


if __name__ == "__main__":
    main()
