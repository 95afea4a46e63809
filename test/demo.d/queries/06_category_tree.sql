\set id random(1, 30)
WITH RECURSIVE tree AS (SELECT id FROM shop.categories WHERE id = :id UNION ALL SELECT c.id FROM shop.categories c JOIN tree t ON c.parent = t.id) SELECT count(*), avg(p.price) FROM shop.products p WHERE p.category_id IN (SELECT id FROM tree);
