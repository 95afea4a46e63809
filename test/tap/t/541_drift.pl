# Drift on simulated days, in a session that moves its clock: nothing is said
# of a stationary workload, a change is found within two days and retrained
# for, at most once a day for each reason.  test/long weeks does it at length.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $weeks = dirname(__FILE__) . '/../../weeks';
my $node = PostgreSQL::Test::Cluster->new('drift');
$node->init;
$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track = none
pganalytics_ml.retrain_interval = 0
autovacuum = off
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
$node->safe_psql('postgres', slurp_file("$weeks/$_.sql")) for qw(generate go);

sub ask
{
	my ($query) = @_;
	return $node->safe_psql('postgres', $query);
}

# --- two stationary days ---
$node->safe_psql('postgres', q{SET client_min_messages = warning; CALL weeks_go(1, 10, 2, 99, 'none', 600)});
is(ask(q{SELECT count(*) FROM weeks_log WHERE crossed}), '0', 'no signal crosses without drift');
is(ask(q{SELECT string_agg(signal, ' ' ORDER BY signal) FROM weeks_log WHERE day = 2 AND value IS NOT NULL AND threshold IS NOT NULL}),
	'conformal_scores coverage error_trend features levels novelty', 'after a day of new executions every signal is judged');
is(ask(q{SELECT bool_and(detail ->> 'why' LIKE 'the data of the model end only %') FROM weeks_log WHERE day = 0.25 AND value IS NULL}),
	't', 'before that it is said why not');
is(ask(q{SELECT count(*) FROM pganalytics.training_jobs WHERE reason LIKE 'drift%'}), '0', 'nothing is retrained');
is(ask(q{SELECT count(*) = 2 AND bool_and(executions > 300 AND error BETWEEN 0.1 AND 0.6 AND coverage BETWEEN 0.8 AND 0.98)
	FROM weeks_truth}), 't', 'truth of the two days, though nobody asked the model');

# --- what was usual in training, worked out again in SQL from the rows that were learnt from ---
$node->safe_psql('postgres', q{
	SET jit = off;
	CREATE TABLE learnt AS
	SELECT r.queryid, r.log_ms, r.features, floor(extract(epoch FROM m.window_end - r.at) / 86400)::int AS block
	  FROM pganalytics.models m, training_rows() r WHERE m.stage = 'production' AND r.at <= m.window_end;
	DELETE FROM learnt USING pganalytics.models m
	 WHERE m.stage = 'production' AND block >= (m.drift_reference ->> 'blocks')::int;
	CREATE TABLE kept AS SELECT m.drift_reference AS r FROM pganalytics.models m WHERE m.stage = 'production'});
is(ask(q{SELECT (r ->> 'block_s')::int, (r ->> 'blocks')::int FROM kept}), '86400|8', 'ten days but one bit, by days, without the oldest');
is(ask(q{SELECT count(*) > 20, max(abs(s.center - o.center)) < 1e-6
	  FROM kept, jsonb_to_recordset(r -> 'statements') s(queryid int8, center float8),
	       LATERAL (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY log_ms) AS center FROM learnt l WHERE l.queryid = s.queryid) o}),
	't|t', 'levels of statements');
is(ask(q{SELECT max(abs(s.usual - o.usual)) < 1e-6
	  FROM kept, jsonb_to_recordset(r -> 'statements') s(queryid int8, center float8, usual float8),
	       LATERAL (SELECT max(abs(b.center - s.center)) AS usual
	                  FROM (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY log_ms) AS center FROM learnt l
	                         WHERE l.queryid = s.queryid GROUP BY block HAVING count(*) >= 5) b) o}), 't', 'how much days of theirs differ');
$node->safe_psql('postgres', q{
	CREATE TABLE bins AS
	SELECT f.feature, f.counts, f.usual, l.block, b.bin, count(*) AS n
	  FROM kept, jsonb_to_recordset(r -> 'features') f(feature text, borders float4[], counts float8[], usual float8)
	  JOIN list_features() n ON n.feature = f.feature, learnt l,
	       LATERAL (SELECT CASE WHEN l.features[n."position"] = 'NaN' THEN cardinality(f.borders) + 1
	                       ELSE (SELECT count(*) FROM unnest(f.borders) x WHERE l.features[n."position"] > x) END AS bin) b
	 GROUP BY 1, 2, 3, 4, 5});
is(ask(q{SELECT count(*) > 3, bool_and(counts[bin + 1] = n) FROM (SELECT feature, counts, bin, sum(n) AS n FROM bins GROUP BY 1, 2, 3) b}),
	't|t', 'counts of every bin of every feature');
is(ask(q{WITH c AS (
	    SELECT f.feature, f.usual, b.block, k AS bin, f.counts[k] AS total,
	           coalesce((SELECT n FROM bins x WHERE x.feature = f.feature AND x.block = b.block AND x.bin = k - 1), 0) AS own
	      FROM (SELECT DISTINCT feature, usual, counts FROM bins) f, (SELECT DISTINCT block FROM bins) b,
	           generate_series(1, cardinality(f.counts)) k),
	  p AS (SELECT feature, usual, block, (own + 0.5) / sum(own + 0.5) OVER w AS now, (total - own + 0.5) / sum(total - own + 0.5) OVER w AS rest
	          FROM c WINDOW w AS (PARTITION BY feature, block)),
	  i AS (SELECT feature, usual, block, sum((now - rest) * ln(now / rest)) AS psi FROM p GROUP BY 1, 2, 3)
	SELECT max(abs(usual - psi)) < 1e-6 FROM (SELECT feature, usual, max(psi) AS psi FROM i GROUP BY 1, 2) u}), 't',
	'stability index of the day that differed most');

# --- due once an hour, also after the clock went back ---
is(ask(q{LOAD 'pganalytics_ml'; SELECT result FROM maintain_models() WHERE step = 'drift';
	SELECT result FROM maintain_models() WHERE step = 'drift';
	SET pganalytics_ml.clock_offset = 3500; SELECT result FROM maintain_models() WHERE step = 'drift';
	SET pganalytics_ml.clock_offset = 3700; SELECT result FROM maintain_models() WHERE step = 'drift'}),
	join("\n", 'looked: model_drift() has the signals', 'not due yet', 'not due yet', 'looked: model_drift() has the signals'),
	'a clock that went back makes it due; then it is due once an hour');

# --- a check under way is not waited for ---
my $other = $node->background_psql('postgres');
$other->query_safe('BEGIN; SELECT 1 FROM pganalytics.drift_state FOR UPDATE');
is(ask(q{LOAD 'pganalytics_ml'; SET lock_timeout = '5s'; SET pganalytics_ml.clock_offset = 90000;
	SELECT result FROM maintain_models() WHERE step = 'drift'}), 'not due yet', 'somebody else is at it');
$other->query_safe('ROLLBACK');
$other->quit;

# --- a quarter of the statements become 2.5 times slower ---
$node->safe_psql('postgres', q{TRUNCATE weeks_log, weeks_truth, weeks_jobs;
	SET client_min_messages = warning; CALL weeks_go(2, 10, 4, 1.1, 'slower', 600)});
is(ask(q{SELECT count(*) FROM weeks_false_alarms(1.1)}), '0', 'no signal crosses before the drift');
is(ask(q{SELECT detected_h BETWEEN 0 AND 48 FROM weeks_drifts(1.1)}), 't', 'it is found within two days');
is(ask(q{SELECT bool_or(signal = 'levels' AND crossed AND (detail -> 'most' -> 0 ->> 'factor')::float8 BETWEEN 2 AND 3.2)
	FROM weeks_log}), 't', 'levels name a statement and by how much it is slower');
is(ask(q{SELECT count(*) > 0 AND bool_and(e.message LIKE '% is %, its threshold %' AND e.detail IS NOT NULL)
	FROM pganalytics.events e WHERE e.kind = 'drift'}), 't', 'an event tells');
is(ask(q{SELECT (SELECT count(*) FROM weeks_log l JOIN (SELECT signal, model_id, day - 0.25 AS before FROM weeks_log WHERE crossed) c
	ON l.signal = c.signal AND l.model_id = c.model_id AND l.day = c.before AND NOT l.crossed)
	<= (SELECT count(*) FROM pganalytics.events WHERE kind = 'drift')}), 't', 'for each crossing');
is(ask(q{SELECT count(*) > 0 AND bool_and(status = 'completed') FROM weeks_jobs WHERE reason LIKE 'drift: %'}), 't', 'it is retrained for');
is(ask(q{SELECT count(*) FROM weeks_jobs a JOIN weeks_jobs b ON a.reason = b.reason AND a.day < b.day AND b.day - a.day < 0.99}), '0',
	'at most once a day for each reason');
is(ask(q{SELECT count(*) FROM (SELECT day, count(*) FROM weeks_log WHERE signal IN (SELECT signal FROM model_drift()) GROUP BY day
	HAVING count(*) <> 6) d}), '0', 'every signal has its row at every moment');

# --- without wait and preload it is said what to do ---
is(ask(q{LOAD 'pganalytics_ml'; UPDATE pganalytics.query_performance_models SET drift_reference =
	jsonb_set(drift_reference, '{features}', '[{"feature": "lag_log_center", "borders": [-50], "counts": [10000, 0, 0], "usual": 0}]')
	WHERE stage = 'production';
	DELETE FROM pganalytics.training_jobs; UPDATE pganalytics.drift_state SET checked_at = NULL;
	-- asked for while the clock was a year ahead
	INSERT INTO pganalytics.training_jobs (status, reason, requested_by, requested_at) VALUES ('completed', 'drift: features', 10, now() + interval '1 year');
	SET pganalytics_ml.clock_offset = 345700; SELECT result LIKE 'drift: features: a retraining is due, but not queued:%'
	FROM maintain_models() WHERE step = 'drift'; SELECT count(*) FROM pganalytics.training_jobs}), "t\n1",
	'without workers it is said that a retraining is due');

# --- no model, no signals ---
is(ask(q{LOAD 'pganalytics_ml'; DELETE FROM pganalytics.query_performance_models; UPDATE pganalytics.drift_state SET checked_at = NULL;
	SELECT result FROM maintain_models() WHERE step = 'drift';
	SELECT DISTINCT detail ->> 'why' FROM model_drift(); SELECT count(*) FROM pganalytics.drift_signals}),
	"looked: model_drift() has the signals\nno model in production\n0", 'without a model no signal is left');

$node->stop;
done_testing();
