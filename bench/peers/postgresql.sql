-- The statement of the PostgreSQL peer: one batch, set-based.  $1 ids, $2 tenants, $3 members, $4 amounts.
-- Members are locked in their order, so that two batches do not deadlock; tenants last, so that their ten hot rows are
-- held for as short as can be (a part that nothing reads runs after all that is read, hence the sum over credited).
WITH fresh AS (
	INSERT INTO transfers (id, tenant, member, amount)
	SELECT r.id, r.tenant, r.member, r.amount
	FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::int4[]) AS r (id, tenant, member, amount)
	ON CONFLICT (id) DO NOTHING
	RETURNING tenant, member, amount
), credited AS (
	UPDATE members SET balance = balance + s.amount
	FROM (SELECT member, sum(amount) AS amount, count(*) AS rows FROM fresh GROUP BY member ORDER BY member) AS s
	WHERE members.id = s.member
	RETURNING s.rows
), debited AS (
	UPDATE tenants SET balance = balance - s.amount
	FROM (SELECT tenant, sum(amount) AS amount FROM fresh GROUP BY tenant ORDER BY tenant) AS s
	WHERE tenants.id = s.tenant
)
SELECT coalesce(sum(rows), 0)::int8 FROM credited
