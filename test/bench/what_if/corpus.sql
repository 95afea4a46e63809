-- The corpus's statements (table corpus) with indexes on the demo's tables, each statement with those on tables that it names.
TRUNCATE compared, pairs;
INSERT INTO pairs (kind, index, query)
SELECT CASE WHEN i.index ~ 'INCLUDE' THEN 'corpus, include' WHEN i.index ~ 'WHERE' THEN 'corpus, partial' WHEN i.index ~ '\(lower|\(\(' THEN 'corpus, expression'
            WHEN i.index ~ ' USING ' THEN 'corpus, hash and brin' WHEN i.index ~ ',' THEN 'corpus, several columns' ELSE 'corpus, single' END, i.index, c.query
  FROM corpus c, (VALUES ('orders (status)'), ('orders (total)'), ('orders (customer_id, placed)'), ('orders (placed) INCLUDE (total)'), ('orders (id) WHERE status = ''open'''),
       ('orders (placed DESC, total)'), ('orders USING brin (placed)'), ('order_items (price)'), ('order_items (order_id, product_id) INCLUDE (price)'),
       ('order_items (quantity, price)'), ('order_items (product_id, price DESC)'), ('order_items (product_id) WHERE quantity = 2'), ('order_items USING hash (product_id)'),
       ('events (kind)'), ('events (tenant_id, at DESC)'), ('events (amount)'), ('events (tenant_id) INCLUDE (amount)'), ('events (kind, amount)'),
       ('products (category_id)'), ('products (price)'), ('products (name text_pattern_ops)'), ('products (lower(name))'),
       ('customers (segment)'), ('customers (country, joined)'), ('customers (lower(email))'), ('customers (joined)')) i (index)
 WHERE c.query ~ ('\m' || split_part(i.index, ' ', 1) || '\M') AND EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('shop.' || split_part(i.index, ' ', 1)));
SELECT format('CALL compare(%L)', index) FROM pairs WHERE kind LIKE 'corpus%' GROUP BY index ORDER BY min(id)
\gexec
