\set from random(1, 240000)
SELECT count(*) FROM shop.orders o WHERE o.id BETWEEN :from AND :from + 300 AND o.total > (SELECT avg(x.total) FROM shop.orders x WHERE x.customer_id = o.customer_id);
