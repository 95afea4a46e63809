\set k random(0, 12)
SELECT id, amount FROM (SELECT id, amount, payload FROM shop.events WHERE kind >= :k ORDER BY amount, payload) x OFFSET 100000 LIMIT 5;
