\set n random(1, 99)
SELECT id, name FROM shop.products WHERE description LIKE '%' || md5(:n::text) || '%' ORDER BY price LIMIT 20;
