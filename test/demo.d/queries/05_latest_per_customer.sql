\set from random(1, 39000)
SELECT c.id, l.placed, l.total FROM shop.customers c CROSS JOIN LATERAL (SELECT placed, total FROM shop.orders o WHERE o.customer_id = c.id ORDER BY placed DESC LIMIT 1) l WHERE c.id BETWEEN :from AND :from + 200;
