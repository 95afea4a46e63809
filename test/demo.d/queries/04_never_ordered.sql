\set s random(0, 6)
SELECT count(*) FROM shop.customers c WHERE c.segment = :s AND NOT EXISTS (SELECT FROM shop.orders o WHERE o.customer_id = c.id);
