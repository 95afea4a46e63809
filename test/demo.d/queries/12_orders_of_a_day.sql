\set day random(0, 340)
SELECT status, count(*), sum(total) FROM shop.orders WHERE placed >= timestamp '2024-01-01' + :day * interval '1 day' AND placed < timestamp '2024-01-02' + :day * interval '1 day' GROUP BY status;
