SELECT c.country, o.status, sum(o.total) FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id GROUP BY ROLLUP (c.country, o.status) ORDER BY 3 DESC LIMIT 20;
