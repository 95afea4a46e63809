\set id random(1, 5000)
SELECT date_trunc('month', o.placed) AS month, sum(i.quantity) FROM shop.order_items i JOIN shop.orders o ON o.id = i.order_id WHERE i.product_id = :id GROUP BY 1 ORDER BY 1;
