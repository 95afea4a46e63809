\set c random(1, 120)
SELECT p.id, p.name, sum(i.quantity * i.price) AS worth FROM shop.order_items i JOIN shop.products p ON p.id = i.product_id WHERE p.category_id = :c GROUP BY p.id ORDER BY worth DESC LIMIT 10;
