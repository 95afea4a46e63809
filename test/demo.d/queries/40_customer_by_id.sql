\set id random(1, 40000)
SELECT id, country, joined, email FROM shop.customers WHERE id = :id;
