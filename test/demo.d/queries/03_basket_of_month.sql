\set m random(0, 10)
SELECT avg(n), max(worth) FROM (SELECT o.id, count(*) AS n, sum(i.quantity * i.price) AS worth FROM shop.orders o JOIN shop.order_items i ON i.order_id = o.id WHERE o.placed >= timestamp '2024-01-01' + :m * interval '1 month' AND o.placed < timestamp '2024-02-01' + :m * interval '1 month' GROUP BY o.id) x;
