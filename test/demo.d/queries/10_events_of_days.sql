\set day random(0, 200)
\set length random(1, 40)
SELECT kind, count(*) FROM shop.events WHERE at >= timestamp '2024-01-01' + :day * interval '1 day' AND at < timestamp '2024-01-01' + (:day + :length) * interval '1 day' GROUP BY kind;
