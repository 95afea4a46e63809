\set q random(1, 4)
SELECT count(DISTINCT customer_id) FROM shop.orders WHERE extract(quarter FROM placed) = :q;
