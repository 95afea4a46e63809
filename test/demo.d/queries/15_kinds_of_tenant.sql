\set tenant random(1, 60)
SELECT kind, count(*), avg(amount) FROM shop.events WHERE tenant_id = :tenant GROUP BY kind ORDER BY 2 DESC;
