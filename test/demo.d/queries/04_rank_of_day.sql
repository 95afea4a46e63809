\set day random(0, 330)
SELECT max(r) FROM (SELECT rank() OVER (PARTITION BY status ORDER BY total) AS r FROM shop.orders WHERE placed >= timestamp '2024-01-01' + :day * interval '1 day' AND placed < timestamp '2024-01-15' + :day * interval '1 day') x;
