\set c random(0, 40)
SELECT count(*), min(joined) FROM shop.customers WHERE country = 'C' || :c;
