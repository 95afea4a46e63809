"""Generates the corpus: at least 200 statements of different plan shapes.

usage: corpus.py workload SEED RUNS    the runs in shuffled order, for psql
       corpus.py statements            one of each, with the first values

The statements are on the demo's schemas: test/demo.d/schema.sql and pgbench's
tables.  They are made systematically: joins of one to five tables along the
keys, by filter, by what becomes of the rows; constructs over pairs of tables;
then constructs that the planner treats in a way of their own.  Every statement
is run with several values of its parameters.  Writes are rolled back.
"""
import random
import sys

# Chains of joins along the keys, and the columns that the rest may use.
JOINS = [
    "orders o",
    "order_items i",
    "events e",
    "products p",
    "orders o JOIN customers c ON c.id = o.customer_id",
    "order_items i JOIN products p ON p.id = i.product_id",
    "order_items i JOIN orders o ON o.id = i.order_id",
    "products p JOIN categories g ON g.id = p.category_id",
    "events e JOIN customers c ON c.id = e.tenant_id",
    "order_items i JOIN orders o ON o.id = i.order_id JOIN customers c ON c.id = o.customer_id",
    "order_items i JOIN products p ON p.id = i.product_id JOIN categories g ON g.id = p.category_id",
    "orders o LEFT JOIN order_items i ON i.order_id = o.id AND i.quantity = 2",
    "order_items i JOIN orders o ON o.id = i.order_id JOIN products p ON p.id = i.product_id JOIN customers c ON c.id = o.customer_id",
    "order_items i JOIN orders o ON o.id = i.order_id JOIN customers c ON c.id = o.customer_id "
    "JOIN products p ON p.id = i.product_id JOIN categories g ON g.id = p.category_id",
]

# By table: conditions of rising reach.  {a:b} draws a whole number, equal names draw once.
FILTERS = {
    "o": ["o.id = {1:250000}", "o.customer_id = {1:40000}",
          "o.placed >= timestamp '2024-01-01' + {0:300} * interval '1 day' AND o.placed < timestamp '2024-01-01' + {301:340} * interval '1 day'",
          "o.id < {1000:20000}", "o.status = '{pick:paid,sent,open,returned}'", "o.total > {100:900}", ""],
    "i": ["i.order_id BETWEEN {1:1000} AND {1001:4000}", "i.product_id = {1:5000}", "i.product_id < {5:500}",
          "i.price > {20:200}", "i.quantity = {2:4} AND i.price < {10:150}", ""],
    "e": ["e.tenant_id = {12:4000}", "e.tenant_id = {1:11}", "e.kind = {0:22}",
          "e.at < timestamp '2024-01-01' + {1:250} * interval '1 day'", "e.amount > {1:99}", ""],
    "p": ["p.id = {1:5000}", "p.category_id = {1:120}", "p.price < {2:400}", "p.name LIKE 'product {1:9}%'", ""],
    "c": ["c.id = {1:40000}", "c.country = 'C{0:40}'", "c.segment = {0:6}", "c.joined < date '2020-01-01' + {10:1800}"],
    "g": ["g.id = {1:120}", "g.parent = {1:30}"],
}
NUMBER = {"o": "o.total", "i": "i.price", "e": "e.amount", "p": "p.price", "c": "c.segment", "g": "g.id"}
GROUP = {"o": "o.status", "i": "i.quantity", "e": "e.kind", "p": "p.category_id", "c": "c.country", "g": "g.name"}
MANY = {"o": "o.customer_id", "i": "i.product_id", "e": "e.tenant_id", "p": "p.name", "c": "c.email", "g": "g.name"}

# What becomes of the rows: {first} and {last} table of the join.
OUTPUTS = [
    "SELECT count(*) FROM {from}{where}",
    "SELECT {group}, count(*), avg({number}) FROM {from}{where} GROUP BY {group}",
    "SELECT {many}, sum({number}) AS s FROM {from}{where} GROUP BY {many} ORDER BY s DESC LIMIT 20",
    "SELECT DISTINCT {many} FROM {from}{where} LIMIT 2000",
    "SELECT {many}, {number} FROM {from}{where} ORDER BY {number} DESC, {many} LIMIT 50",
    "SELECT {many}, {number} FROM {from}{where} LIMIT 100",
    "SELECT max(r) FROM (SELECT rank() OVER (PARTITION BY {group} ORDER BY {number}) AS r FROM {from}{where}) x",
    "SELECT count(DISTINCT {many}), max({number}) FROM {from}{where}",
    "SELECT {many}, {number}, {group} FROM {from}{where} ORDER BY {many} OFFSET 500 LIMIT 500",
]

# One to many along the keys: parent, child, and how they meet.
PAIRS = [
    ("customers c", "orders o", "o.customer_id = c.id"),
    ("customers c", "events e", "e.tenant_id = c.id"),
    ("orders o", "order_items i", "i.order_id = o.id"),
    ("products p", "order_items i", "i.product_id = p.id"),
    ("categories g", "products p", "p.category_id = g.id"),
]

# Constructs over such a pair: {key} of the child, {filter} on the parent, {some} on the child.
OVER_PAIRS = [
    "SELECT count(*) FROM {parent} WHERE EXISTS (SELECT FROM {child} WHERE {on} AND {some}) AND {filter}",
    "SELECT count(*) FROM {parent} WHERE NOT EXISTS (SELECT FROM {child} WHERE {on} AND {some}) AND {filter}",
    "SELECT {p}.id FROM {parent} WHERE {p}.id IN (SELECT {key} FROM {child} WHERE {some}) AND {filter} ORDER BY {p}.id LIMIT 20",
    "SELECT {p}.id, (SELECT max({number}) FROM {child} WHERE {on}) FROM {parent} WHERE {filter} LIMIT 300",
    "SELECT {p}.id, l.v FROM {parent} CROSS JOIN LATERAL (SELECT {number} AS v FROM {child} WHERE {on} ORDER BY {number} DESC LIMIT 2) l WHERE {filter} LIMIT 300",
    "WITH s AS (SELECT {key} AS k, sum({number}) AS v FROM {child} WHERE {some} GROUP BY 1) SELECT count(*), max(s.v) FROM {parent} JOIN s ON s.k = {p}.id WHERE {filter}",
    "SELECT count(*) FROM (SELECT {key} FROM {child} WHERE {some} UNION SELECT {p}.id FROM {parent} WHERE {filter}) x",
    "SELECT max(r) FROM (SELECT row_number() OVER (PARTITION BY {key} ORDER BY {number}) AS r FROM {child} WHERE {some}) x",
    "SELECT {group}, count(*) FROM {parent} LEFT JOIN {child} ON {on} AND {some} WHERE {filter} GROUP BY {group} ORDER BY 2 DESC",
]

# Constructs of their own.
SPECIAL = [
    # EXISTS, IN and their negations
    "SELECT count(*) FROM customers c WHERE EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id AND o.total > {100:890})",
    "SELECT count(*) FROM customers c WHERE c.segment = {0:6} AND NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id)",
    "SELECT count(*) FROM products p WHERE EXISTS (SELECT FROM order_items i WHERE i.product_id = p.id AND i.price > {150:202})",
    "SELECT count(*) FROM products p WHERE NOT EXISTS (SELECT FROM order_items i WHERE i.product_id = p.id AND i.price < {4:8})",
    "SELECT id FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE total > {600:900}) ORDER BY id LIMIT 50",
    "SELECT count(*) FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE country = 'C{0:40}')",
    "SELECT count(*) FROM orders WHERE customer_id NOT IN (SELECT id FROM customers WHERE segment = {0:6})",
    "SELECT count(*) FROM order_items WHERE product_id IN (SELECT id FROM products WHERE category_id = {1:120})",
    "SELECT sum(total) FROM orders WHERE id = ANY(ARRAY[{1:1000}, {1001:5000}, {5001:90000}, {90001:250000}])",
    "SELECT count(*) FROM events WHERE tenant_id IN ({12:100}, {101:500}, {501:2000}, {2001:4000})",
    "SELECT count(*) FROM events e WHERE tenant_id IN (SELECT id FROM customers WHERE country = 'C{0:40}' AND id < 4000)",
    "SELECT count(*) FROM orders o WHERE o.id < {100:5000} AND EXISTS (SELECT FROM order_items i JOIN products p ON p.id = i.product_id WHERE i.order_id = o.id AND p.category_id = {1:120})",
    "SELECT count(*) FROM categories g WHERE NOT EXISTS (SELECT FROM products p WHERE p.category_id = g.id AND p.price > {480:500})",
    # correlated subqueries that stay SubPlans
    "SELECT count(*) FROM orders o WHERE o.id BETWEEN {1:240000} AND {1:240000} + 0 OR o.total > (SELECT 903 + {1:2})",
    "SELECT o.id, (SELECT sum(i.price) FROM order_items i WHERE i.order_id = o.id) FROM orders o WHERE o.customer_id = {1:40000}",
    "SELECT p.id, (SELECT count(*) FROM order_items i WHERE i.product_id = p.id) FROM products p WHERE p.category_id = {1:120}",
    "SELECT count(*) FROM orders o WHERE o.id < {200:4000} AND o.total > (SELECT avg(x.total) FROM orders x WHERE x.customer_id = o.customer_id)",
    "SELECT c.id, (SELECT max(placed) FROM orders o WHERE o.customer_id = c.id) FROM customers c WHERE c.id < {50:2000}",
    "SELECT g.name, (SELECT count(*) FROM products p WHERE p.category_id = g.id AND p.price > {10:490}) FROM categories g",
    "SELECT count(*) FROM products p WHERE p.price > (SELECT avg(price) FROM products q WHERE q.category_id = p.category_id) AND p.id < {100:800}",
    "SELECT id, total > (SELECT avg(total) FROM orders) FROM orders WHERE id < {100:3000}",
    "SELECT count(*) FROM events WHERE amount > (SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY amount) FROM events WHERE tenant_id = {12:4000})",
    # lateral
    "SELECT c.id, l.placed FROM customers c CROSS JOIN LATERAL (SELECT placed FROM orders o WHERE o.customer_id = c.id ORDER BY placed DESC LIMIT 1) l WHERE c.id < {20:1500}",
    "SELECT g.id, l.name FROM categories g CROSS JOIN LATERAL (SELECT name FROM products p WHERE p.category_id = g.id ORDER BY price DESC LIMIT 3) l WHERE g.id < {5:120}",
    "SELECT count(*) FROM customers c LEFT JOIN LATERAL (SELECT id FROM orders o WHERE o.customer_id = c.id AND o.status = 'returned' LIMIT 1) l ON true WHERE c.segment = {0:6}",
    "SELECT p.id, l.n FROM products p, LATERAL (SELECT count(*) AS n FROM order_items i WHERE i.product_id = p.id AND i.quantity = 3) l WHERE p.id < {10:150}",
    "SELECT t.x, l.s FROM generate_series(1, {5:60}) AS t(x), LATERAL (SELECT sum(amount) AS s FROM events WHERE tenant_id = 11 + t.x) l",
    # common table expressions
    "WITH big AS (SELECT customer_id, sum(total) AS s FROM orders GROUP BY customer_id) SELECT count(*) FROM big WHERE s > {100:5000}",
    "WITH big AS MATERIALIZED (SELECT * FROM orders WHERE total > {300:900}) SELECT a.status, count(*) FROM big a JOIN big b USING (id) GROUP BY a.status",
    "WITH RECURSIVE t AS (SELECT id FROM categories WHERE id = {1:30} UNION ALL SELECT c.id FROM categories c JOIN t ON c.parent = t.id) SELECT count(*) FROM t",
    "WITH RECURSIVE t AS (SELECT id FROM categories WHERE id = {1:30} UNION ALL SELECT c.id FROM categories c JOIN t ON c.parent = t.id) SELECT avg(price) FROM products WHERE category_id IN (SELECT id FROM t)",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {1000:60000}) SELECT sum(x) FROM n",
    "WITH m AS MATERIALIZED (SELECT date_trunc('month', placed) AS month, sum(total) AS s FROM orders WHERE id > {1:200000} GROUP BY 1) SELECT a.month, a.s - b.s FROM m a LEFT JOIN m b ON b.month = a.month - interval '1 month'",
    "WITH a AS (SELECT product_id, count(*) AS n FROM order_items WHERE price > {20:190} GROUP BY 1), b AS (SELECT id FROM products WHERE price < 100) SELECT max(n) FROM a JOIN b ON b.id = a.product_id",
    # set operations
    "SELECT customer_id FROM orders WHERE id < {1000:60000} UNION SELECT id FROM customers WHERE segment = {0:6} ORDER BY 1 LIMIT 30",
    "SELECT count(*) FROM (SELECT id FROM orders WHERE total > {200:880} UNION ALL SELECT order_id FROM order_items WHERE price > {50:200}) x",
    "SELECT count(*) FROM (SELECT id FROM customers EXCEPT SELECT customer_id FROM orders WHERE id > {1000:240000}) x",
    "SELECT count(*) FROM (SELECT product_id FROM order_items WHERE quantity = 2 INTERSECT SELECT id FROM products WHERE price > {10:480}) x",
    "SELECT count(*) FROM (SELECT tenant_id, kind FROM events WHERE kind < {1:22} UNION SELECT tenant_id, kind FROM events WHERE amount > 50) x",
    "(SELECT id, placed FROM orders WHERE customer_id = {1:40000}) UNION ALL (SELECT id, placed FROM orders ORDER BY placed DESC LIMIT 10)",
    "SELECT name FROM products WHERE id < {10:3000} UNION ALL SELECT name FROM categories ORDER BY name LIMIT 40",
    # window functions
    "SELECT id, sum(total) OVER (ORDER BY placed) FROM orders WHERE id < {500:60000} OFFSET 400",
    "SELECT max(d) FROM (SELECT placed - lag(placed) OVER (PARTITION BY customer_id ORDER BY placed) AS d FROM orders WHERE id < {1000:250000}) x",
    "SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY product_id ORDER BY price DESC) AS r FROM order_items WHERE product_id < {20:2500}) x WHERE r <= 3",
    "SELECT max(n) FROM (SELECT ntile(100) OVER (ORDER BY amount) AS n FROM events WHERE kind < {1:22}) x",
    "SELECT max(a), max(b) FROM (SELECT avg(amount) OVER (PARTITION BY kind ORDER BY at ROWS 10 PRECEDING) AS a, rank() OVER (PARTITION BY tenant_id ORDER BY amount) AS b FROM events WHERE tenant_id < {2:3000} AND tenant_id > 1) x",
    "SELECT country, n, sum(n) OVER (ORDER BY n DESC) FROM (SELECT country, count(*) AS n FROM customers WHERE segment < {1:7} GROUP BY country) x",
    "SELECT max(f) FROM (SELECT first_value(price) OVER (PARTITION BY category_id ORDER BY id) AS f FROM products WHERE price < {5:480}) x",
    # aggregates of other kinds
    "SELECT status, percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders WHERE id < {1000:250000} GROUP BY status",
    "SELECT country, segment, count(*) FROM customers WHERE id < {500:40000} GROUP BY ROLLUP (country, segment)",
    "SELECT status, extract(month FROM placed) AS m, sum(total) FROM orders WHERE total < {50:900} GROUP BY GROUPING SETS ((status), (m), (status, m), ())",
    "SELECT c.country, o.status, sum(o.total) FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id < {1000:250000} GROUP BY CUBE (c.country, o.status)",
    "SELECT count(DISTINCT customer_id), count(DISTINCT status) FROM orders WHERE total > {50:850}",
    "SELECT length(string_agg(name, ',' ORDER BY price)) FROM products WHERE category_id < {1:120}",
    "SELECT array_length(array_agg(id ORDER BY total), 1) FROM orders WHERE id < {1000:120000}",
    "SELECT mode() WITHIN GROUP (ORDER BY product_id) FROM order_items WHERE order_id < {500:90000}",
    "SELECT corr(price, quantity), regr_slope(price, quantity), stddev(price) FROM order_items WHERE product_id < {50:5000}",
    "SELECT length(json_agg(e)::text) FROM (SELECT id, kind, amount FROM events WHERE tenant_id = {12:4000}) e",
    "SELECT customer_id, count(*) FROM orders GROUP BY customer_id HAVING sum(total) > {3000:30000} ORDER BY 2 DESC LIMIT 10",
    "SELECT kind, bool_or(amount > {1:99}), min(payload) FROM events GROUP BY kind",
    "SELECT md5(payload) AS h FROM events WHERE id < {100:30000} ORDER BY h LIMIT 5",
    # text and expressions: much work per row, which costs hardly see
    "SELECT id FROM products WHERE description LIKE '%' || md5('{1:99}') || '%' ORDER BY price LIMIT 20",
    "SELECT count(*) FROM customers WHERE email ILIKE '%{1:99}@%'",
    "SELECT count(*) FROM events WHERE payload ~ '^{pick:a,b,c,d,e,f}[0-9]+{0:9}'",
    "SELECT count(*) FROM products WHERE regexp_replace(description, '[0-9]', '', 'g') LIKE '{pick:a,b,c,d,e,f}%' AND id < {200:5000}",
    "SELECT count(*) FROM orders WHERE to_char(placed, 'YYYY-MM') = '2024-0{1:9}'",
    "SELECT count(*) FROM orders WHERE extract(dow FROM placed) = {0:6}",
    "SELECT max(length(repeat(payload, {1:30}))) FROM events WHERE kind = {0:22}",
    "SELECT count(*) FROM events WHERE md5(payload || '{1:99}') < '8'",
    "SELECT sum(sqrt(abs(sin(amount * {1:9})))) FROM events",
    "SELECT upper(name), price * {1:9} FROM products ORDER BY lower(name) LIMIT 15",
    # sorts that may spill
    "SELECT id, amount FROM (SELECT * FROM events WHERE kind >= {0:20} ORDER BY amount, payload) x OFFSET 5000 LIMIT 5",
    "SELECT order_id, price FROM (SELECT * FROM order_items WHERE quantity >= {2:4} ORDER BY price, order_id, line) x OFFSET 20000 LIMIT 5",
    "SELECT email FROM customers WHERE segment >= {0:6} ORDER BY email OFFSET 1000 LIMIT 10",
    "SELECT id, description FROM products WHERE id > {1:4500} ORDER BY description LIMIT 10",
    "SELECT payload FROM events WHERE tenant_id < {2:2000} ORDER BY payload LIMIT 5",
    # sorted along an index, ranges, min and max
    "SELECT id FROM orders ORDER BY placed DESC OFFSET {10:30000} LIMIT 10",
    "SELECT max(placed), min(placed) FROM orders WHERE customer_id = {1:40000}",
    "SELECT max(placed) FROM orders WHERE placed < timestamp '2024-01-01' + {2:300} * interval '1 day'",
    "SELECT id, at FROM events WHERE at > timestamp '2024-01-01' + {1:240} * interval '1 day' ORDER BY at LIMIT 200",
    "SELECT kind, count(*) FROM events WHERE at BETWEEN timestamp '2024-01-01' + {1:30} * interval '1 day' AND timestamp '2024-01-01' + {31:200} * interval '1 day' GROUP BY kind",
    "SELECT count(*) FROM events WHERE tenant_id = {1:40} AND at > timestamp '2024-01-01' + {1:240} * interval '1 day'",
    "SELECT sum(amount) FROM events WHERE tenant_id = {2:60} OR kind = {0:22} AND amount > 95",
    "SELECT sum(amount) FROM events WHERE tenant_id = {2:600} OR at < timestamp '2024-01-01' + {1:90} * interval '1 hour'",
    "SELECT id, payload FROM events WHERE tenant_id = {1:30} ORDER BY at DESC LIMIT 10",
    "SELECT id FROM events WHERE tenant_id = {12:4000} ORDER BY amount LIMIT 1",
    # self joins, outer joins, cross joins, odd conditions
    "SELECT count(*) FROM orders a JOIN orders b ON a.customer_id = b.customer_id AND a.id < b.id WHERE a.id < {200:20000}",
    "SELECT count(*) FROM order_items a JOIN order_items b ON a.order_id = b.order_id AND a.product_id <> b.product_id WHERE a.product_id = {1:5000}",
    "SELECT count(*) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE o.id IS NULL AND c.segment < {1:7}",
    "SELECT count(*) FROM customers c FULL JOIN orders o ON o.customer_id = c.id AND o.total > {200:900}",
    "SELECT count(*) FROM categories a CROSS JOIN categories b WHERE a.id + b.id > {20:200}",
    "SELECT count(*) FROM categories a, categories b, categories c WHERE a.parent = b.id AND c.id > a.id AND b.id < {2:30}",
    "SELECT count(*) FROM products a JOIN products b ON a.price < b.price AND a.category_id = b.category_id WHERE a.category_id < {2:120}",
    "SELECT count(*) FROM customers a JOIN customers b ON a.country = b.country AND a.segment = b.segment WHERE a.id < {20:800}",
    "SELECT g.name, p.name FROM categories g LEFT JOIN products p ON p.category_id = g.id AND p.price > {300:500} ORDER BY g.id, p.id LIMIT 100",
    # rows made by functions
    "SELECT sum(x) FROM generate_series(1, {1000:200000}) AS x",
    "SELECT count(*) FROM generate_series(1, {100:20000}) AS x JOIN orders o ON o.id = x",
    "SELECT count(*) FROM (VALUES ({1:99}), ({100:999}), ({1000:5000})) v(x) JOIN products p ON p.id = v.x",
    "SELECT x, count(*) FROM unnest(ARRAY[{1:40000}, {1:40000}, {1:40000}]) AS x JOIN orders o ON o.customer_id = x GROUP BY x",
    "SELECT d, count(o.id) FROM generate_series(timestamp '2024-01-01', timestamp '2024-01-01' + {2:200} * interval '1 day', interval '1 day') AS d LEFT JOIN orders o ON o.placed >= d AND o.placed < d + interval '1 day' GROUP BY d ORDER BY d",
    "SELECT count(*) FROM regexp_split_to_table(repeat('a b ', {10:5000}), ' ') AS w",
    "SELECT count(*) FROM orders TABLESAMPLE SYSTEM ({1:60}) REPEATABLE (1)",
    # pgbench's tables
    "SELECT abalance FROM pgbench_accounts WHERE aid = {1:500000}",
    "SELECT sum(abalance) FROM pgbench_accounts WHERE aid BETWEEN {1:10000} AND {10001:200000}",
    "SELECT bid, sum(abalance), count(*) FROM pgbench_accounts WHERE aid < {1000:500000} GROUP BY bid",
    "SELECT count(*) FROM pgbench_accounts a JOIN pgbench_branches b ON b.bid = a.bid WHERE b.bid = {1:5}",
    "SELECT t.tid, b.bid FROM pgbench_tellers t JOIN pgbench_branches b USING (bid) WHERE t.tid < {2:50}",
    "SELECT count(*) FROM pgbench_accounts WHERE filler LIKE '%{1:9}%'",
    "SELECT max(aid) FROM pgbench_accounts WHERE bid = {1:5} AND abalance >= 0",
    "SELECT aid, abalance FROM pgbench_accounts ORDER BY abalance DESC, aid OFFSET {1:1000} LIMIT 10",
    "SELECT count(*) FROM pgbench_accounts a JOIN orders o ON o.id = a.aid WHERE o.total > {100:890}",
    # without any table
    "SELECT md5('{1:99}'), {1:99} * 2",
    "SELECT now(), {1:9}::text, pg_backend_pid()",
]

WRITES = [
    "UPDATE products SET stock = stock - 1 WHERE id = {1:5000}",
    "UPDATE products SET stock = stock + 1 WHERE category_id = {1:120}",
    "UPDATE orders SET status = 'sent' WHERE id BETWEEN {1:100000} AND {100001:101000}",
    "UPDATE orders o SET total = total + 1 FROM customers c WHERE c.id = o.customer_id AND c.id = {1:40000}",
    "UPDATE events SET amount = amount + 1 WHERE tenant_id = {12:4000}",
    "DELETE FROM order_items WHERE order_id = {1:250000}",
    "DELETE FROM orders WHERE id < {10:2000}",
    "DELETE FROM events WHERE tenant_id = {12:4000} AND kind = {0:22}",
    "INSERT INTO categories (id, name) VALUES ({200:900}, 'new')",
    "INSERT INTO events (tenant_id, at, kind, amount, payload) SELECT {12:4000}, now(), 1, x, md5(x::text) FROM generate_series(1, {5:3000}) x",
    "INSERT INTO orders SELECT id + 1000000, customer_id, placed, status, total FROM orders WHERE id < {100:4000}",
    "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = {1:500000}",
    "WITH gone AS (DELETE FROM order_items WHERE product_id = {1:5000} RETURNING price) SELECT sum(price) FROM gone",
]

MIXED = 130         # statements out of joins x filters x outputs
LIMIT_ALL = 4       # an unfiltered join may have so many tables at most


def joined():
    """All of joins x filters x outputs, in order."""
    for join in JOINS:
        names = [part.split()[-1] for part in join.replace("LEFT JOIN", "JOIN").replace(" ON", " JOIN").split(" JOIN ")
                 if "=" not in part]
        for table in names:
            for condition in FILTERS[table]:
                for output in OUTPUTS:
                    if condition == "" and len(names) > LIMIT_ALL:
                        continue
                    where = f" WHERE {condition}" if condition else ""
                    yield (output.replace("{from}", join).replace("{where}", where)
                           .replace("{number}", NUMBER[names[0]]).replace("{group}", GROUP[names[-1]])
                           .replace("{many}", MANY[names[len(names) // 2]]))


def over_pairs(rng):
    """Every construct over every pair, with filters drawn."""
    for parent, child, on in PAIRS:
        p, c = parent[-1], child[-1]
        for construct in OVER_PAIRS:
            yield (construct.replace("{parent}", parent).replace("{child}", child).replace("{on}", on).replace("{p}", p)
                   .replace("{key}", on.split(" = ")[0]).replace("{number}", NUMBER[c]).replace("{group}", GROUP[p])
                   .replace("{filter}", rng.choice([f for f in FILTERS[p] if f]))
                   .replace("{some}", rng.choice([f for f in FILTERS[c] if f])))


def statements():
    """The corpus, the same on every run."""
    every = list(dict.fromkeys(joined()))
    rng = random.Random(1)
    rng.shuffle(every)
    return every[:MIXED] + list(over_pairs(rng)) + SPECIAL, WRITES


def fill(rng, text):
    """Replace {a:b} and {pick:x,y} by drawn values; ranges are log-uniform, as times then are."""
    out = ""
    while "{" in text:
        before, _, rest = text.partition("{")
        what, _, text = rest.partition("}")
        low, _, high = what.partition(":")
        if low == "pick":
            value = rng.choice(high.split(","))
        else:
            low, high = int(low), int(high)
            value = round((low + 1) * ((high + 1) / (low + 1)) ** rng.random() - 1)
        out += before + str(value)
    return out + text


def main():
    reads, writes = statements()
    if sys.argv[1:] == ["statements"]:
        rng = random.Random(0)
        for text in reads + writes:
            print(fill(rng, text) + ";")
        return
    rng = random.Random(int(sys.argv[2]))
    runs = [(text, text in writes) for text in reads + writes for _ in range(int(sys.argv[3]))]
    rng.shuffle(runs)
    print("SET search_path = shop, public;")
    for text, write in runs:
        text = fill(rng, text)
        print(f"BEGIN;\n{text};\nROLLBACK;" if write else text + ";")


if __name__ == "__main__":
    main()
