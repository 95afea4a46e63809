\set id random(1, 5000)
UPDATE shop.products SET stock = stock - 1 WHERE id = :id;
