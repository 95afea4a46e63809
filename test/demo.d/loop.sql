-- An application that reads a list, and then each of its rows by itself.
SET application_name = 'orders page';
BEGIN;
SELECT format('SELECT product_id, quantity FROM shop.order_items WHERE order_id = %s', id)
FROM shop.orders WHERE customer_id BETWEEN 100 AND 120 ORDER BY id LIMIT 40
\gexec
COMMIT;
