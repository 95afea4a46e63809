-- Tables for test/bench/run what_if and TAP 431: skewed, correlated, full of
-- nulls, wide, small, partitioned, and orders with their lines.  Rows come
-- from :scale (1: 200,000) and a fixed seed.
SELECT setseed(0.42);
SELECT (200000 * :scale)::int AS n \gset

CREATE TABLE even AS
SELECT i AS id, (random() * 1000)::int AS thousand, (random() * 10)::int AS ten, (random() * 1e9)::bigint AS big,
       md5(i::text) AS name, round((random() * 1e5)::numeric, 2) AS amount, timestamp '2025-01-01' + i * interval '1 minute' AS at,
       (random() * 1000)::int::float8 AS f, i % 2 = 0 AS flag, ('2025-01-01'::date + (i / 400)) AS day
  FROM generate_series(1, :n) i;
CREATE TABLE skew AS
SELECT i AS id, floor(exp(random() * 9))::int AS zipf, floor(1000 * power(random(), 6))::int AS power,
       (array['new', 'open', 'open', 'open', 'done', 'done', 'done', 'done', 'done', 'done', 'done', 'done', 'done', 'done', 'done'])[1 + floor(random() * 15)::int] AS status,
       repeat('x', (random() * 60)::int) || i AS code, random() AS x
  FROM generate_series(1, :n) i;
CREATE TABLE correlated AS
SELECT i AS id, i / 100 AS a, i / 1000 AS b, i / 100 + (random() * 20)::int AS noisy, (random() * 100)::int AS other,
       date '2020-01-01' + i / 500 AS day
  FROM generate_series(1, :n) i;
CREATE TABLE sparse AS
SELECT i AS id, CASE WHEN random() < 0.1 THEN i END AS tenth, CASE WHEN random() < 0.01 THEN (random() * 100)::int END AS hundredth,
       CASE WHEN random() < 0.5 THEN md5(i::text) END AS half, CASE WHEN random() < 0.9 THEN (random() * 50)::int END AS most,
       CASE WHEN random() < 0.05 THEN now() - i * interval '1 minute' END AS deleted_at
  FROM generate_series(1, :n) i;
CREATE TABLE wide AS
SELECT i AS id, (random() * 5000)::int AS k, repeat(md5(random()::text), 12) AS payload, md5((i % 1000)::text) AS label,
       array[i % 100, (random() * 1000)::int] AS tags
  FROM generate_series(1, :n / 10) i;
CREATE TABLE small AS SELECT i AS id, i % 7 AS k, 'name ' || i AS name FROM generate_series(1, 60) i;
CREATE TABLE thousand AS SELECT i AS id, i % 13 AS k, 'name ' || i AS name, random() AS x FROM generate_series(1, 1000) i;
CREATE TABLE places AS
SELECT i AS id, point(random() * 1000, random() * 1000) AS at, int4range(i, i + (random() * 100)::int) AS span
  FROM generate_series(1, :n / 4) i;

CREATE TABLE customers AS
SELECT i AS id, 'Customer ' || i AS name, (random() * 24)::int AS nation, round((random() * 10000)::numeric, 2) AS balance,
       (array['BUILDING', 'AUTO', 'MACHINERY', 'HOUSEHOLD', 'FURNITURE'])[1 + floor(random() * 5)::int] AS segment
  FROM generate_series(1, :n / 20) i;
CREATE TABLE orders AS
SELECT i AS id, 1 + (random() * (:n / 20 - 1))::int AS customer, date '1992-01-01' + (random() * 2400)::int AS ordered,
       round((random() * 300000)::numeric, 2) AS total, (array['F', 'O', 'P'])[1 + floor(random() * 3)::int] AS status,
       (1 + (random() * 4)::int)::text || '-PRIORITY' AS priority
  FROM generate_series(1, :n / 2) i;
CREATE TABLE lines AS
SELECT o.id AS order_id, l AS line, (random() * 20000)::int AS part, (random() * 1000)::int AS supplier,
       (1 + random() * 49)::int AS quantity, round((random() * 100000)::numeric, 2) AS price, (random() * 10)::int / 100.0 AS discount,
       o.ordered + (random() * 120)::int AS shipped, (array['AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL'])[1 + floor(random() * 5)::int] AS mode
  FROM orders o, generate_series(1, 1 + o.id % 4) l;
CREATE TABLE measures (id int, sensor int, at date, value float8) PARTITION BY RANGE (at);
CREATE TABLE measures_1 PARTITION OF measures FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE measures_2 PARTITION OF measures FOR VALUES FROM ('2025-02-01') TO ('2025-03-01');
CREATE TABLE measures_3 (value float8, extra text, at date NOT NULL, sensor int, id int);
ALTER TABLE measures_3 DROP COLUMN extra;
ALTER TABLE measures ATTACH PARTITION measures_3 FOR VALUES FROM ('2025-03-01') TO ('2025-04-01');
INSERT INTO measures SELECT i, (random() * 500)::int, date '2025-01-01' + (random() * 89)::int, random() FROM generate_series(1, :n / 2) i;
ALTER TABLE even ADD PRIMARY KEY (id);
ALTER TABLE orders ADD PRIMARY KEY (id);
ALTER TABLE customers ADD PRIMARY KEY (id);
VACUUM (ANALYZE) even, skew, correlated, sparse, wide, small, thousand, places, customers, orders, lines, measures;
