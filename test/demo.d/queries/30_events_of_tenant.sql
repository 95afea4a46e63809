\set pick random(1, 100)
\if :pick <= 12
\set tenant 1
\elif :pick <= 30
\set tenant random(2, 11)
\else
\set tenant random(12, 4011)
\endif
SELECT count(*), sum(amount), max(at) FROM shop.events WHERE tenant_id = :tenant;
