\set id random(1, 5000)
SELECT p.name, p.price, c.name AS category FROM shop.products p JOIN shop.categories c ON c.id = p.category_id WHERE p.id = :id;
