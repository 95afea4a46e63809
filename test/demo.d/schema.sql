-- An analytic schema of 1.4 million rows with skew, beside pgbench's tables.
-- The numbers come from arithmetic on the row number: the same on every run.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE SCHEMA shop;
SET search_path = shop;

-- 0..1, scattered: the golden ratio's multiples, modulo 1 (Weyl sequence).
CREATE FUNCTION scatter(n bigint, salt int DEFAULT 0) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (n * float8 '0.6180339887498949' + salt * float8 '0.324717957244746')
       - floor(n * float8 '0.6180339887498949' + salt * float8 '0.324717957244746');

CREATE TABLE categories (id int PRIMARY KEY, parent int, name text NOT NULL);
INSERT INTO categories
SELECT i, nullif(i / 4, 0), 'category ' || i FROM generate_series(1, 120) i;

CREATE TABLE products (
    id int PRIMARY KEY, category_id int NOT NULL, name text NOT NULL,
    price numeric(10, 2) NOT NULL, stock int NOT NULL, description text NOT NULL);
INSERT INTO products
SELECT i, 1 + i % 120, 'product ' || i, 1 + (scatter(i) * 500)::numeric(10, 2), 100000,
       repeat(md5(i::text) || ' ', 1 + i % 12)
FROM generate_series(1, 5000) i;

CREATE TABLE customers (
    id int PRIMARY KEY, country text NOT NULL, joined date NOT NULL, email text NOT NULL, segment int NOT NULL);
INSERT INTO customers
SELECT i, 'C' || (scatter(i) ^ 3 * 40)::int, date '2020-01-01' + (scatter(i, 1) * 1800)::int,
       'user' || i || '@example.org', i % 7
FROM generate_series(1, 40000) i;

CREATE TABLE orders (
    id int PRIMARY KEY, customer_id int NOT NULL, placed timestamp NOT NULL, status text NOT NULL, total numeric(12, 2) NOT NULL);
INSERT INTO orders
SELECT i, 1 + (scatter(i) ^ 2 * 39999)::int, timestamp '2024-01-01' + i * interval '2 minutes',
       (ARRAY['paid', 'paid', 'paid', 'sent', 'open', 'returned'])[1 + i % 6], (5 + scatter(i, 3) * 900)::numeric(12, 2)
FROM generate_series(1, 250000) i;

CREATE TABLE order_items (
    order_id int NOT NULL, line int NOT NULL, product_id int NOT NULL, quantity int NOT NULL, price double precision NOT NULL);
INSERT INTO order_items
SELECT o, l, 1 + (scatter(o * 3 + l, 5) * 4999)::int, 1 + l, 3 + scatter(o + l, 7) * 200
FROM generate_series(1, 250000) o, generate_series(1, 3) l;

-- One tenant owns nearly half of the events, most own a few dozen.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY, tenant_id int NOT NULL, at timestamp NOT NULL, kind int NOT NULL, amount double precision NOT NULL, payload text NOT NULL);
INSERT INTO events (tenant_id, at, kind, amount, payload)
SELECT CASE WHEN i % 9 < 4 THEN 1 WHEN i % 9 < 6 THEN 2 + i % 10 ELSE 12 + i % 4000 END,
       timestamp '2024-01-01' + i * interval '1 minute', i % 23, scatter(i) * 100, md5(i::text)
FROM generate_series(1, 360000) i;

CREATE INDEX ON orders (customer_id);
CREATE INDEX ON orders (placed);
CREATE INDEX ON order_items (order_id);
CREATE INDEX ON order_items (product_id);
CREATE INDEX ON events (tenant_id);
CREATE INDEX ON events (at);
CREATE INDEX ON customers (country);
VACUUM (ANALYZE) categories, products, customers, orders, order_items, events;
