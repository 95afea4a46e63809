SELECT order_id, line, sum(price) OVER (ORDER BY price DESC, order_id, line) AS running FROM shop.order_items WHERE quantity = 3 ORDER BY running OFFSET 200000 LIMIT 3;
