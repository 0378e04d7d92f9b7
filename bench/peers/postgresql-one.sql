-- The statement of the PostgreSQL peer for one transfer a request: the same parameters as postgresql.sql (arrays of
-- one), without what only batches need.  The tenant's row last, as there.
WITH fresh AS (
	INSERT INTO transfers (id, tenant, member, amount)
	VALUES (($1::uuid[])[1], ($2::int4[])[1], ($3::int4[])[1], ($4::int4[])[1])
	ON CONFLICT (id) DO NOTHING
	RETURNING amount
), credited AS (
	UPDATE members SET balance = balance + fresh.amount FROM fresh WHERE id = ($3::int4[])[1]
	RETURNING fresh.amount
), debited AS (
	UPDATE tenants SET balance = balance - fresh.amount FROM fresh WHERE id = ($2::int4[])[1]
)
SELECT count(*) FROM credited
