\set id random(1, 40000)
SELECT o.id, o.placed, sum(i.quantity * i.price) AS worth FROM shop.orders o JOIN shop.order_items i ON i.order_id = o.id WHERE o.customer_id = :id GROUP BY o.id ORDER BY o.placed DESC LIMIT 10;
