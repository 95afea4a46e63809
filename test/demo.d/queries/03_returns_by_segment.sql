SELECT c.segment, count(*) FILTER (WHERE o.status = 'returned')::float8 / count(*) AS share FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id GROUP BY c.segment ORDER BY 2 DESC;
