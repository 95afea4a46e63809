-- Each pair: the planner's cost with the hypothetical index, HypoPG's, and
-- with the index really built, all with the same statistics.
CREATE TABLE compared (id int, kind text, ours float8, hypopg float8, built float8, plain float8, ours_used bool, built_used bool,
                       ours_size float8, hypopg_size float8, built_size float8);

CREATE FUNCTION cost_of(query text, OUT cost float8, OUT nodes text) LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	cost := plan -> 0 -> 'Plan' ->> 'Total Cost';
	nodes := plan::text;
END $$;

-- All pairs of one index: built once.
CREATE PROCEDURE compare(which text) LANGUAGE plpgsql AS $$
DECLARE
	command text := 'CREATE INDEX compared_index ON ' || which;
	pair pairs;
	answer record;
	hypothetical record;
	hypothetical_cost float8;
	hypothetical_size float8;
	have_hypopg bool := EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'hypopg');
BEGIN
	FOR pair IN SELECT * FROM pairs WHERE index = which ORDER BY id LOOP
		BEGIN
			SELECT * INTO answer FROM predict_with_settings(pair.query, '{}', array[command]);
		EXCEPTION WHEN feature_not_supported OR syntax_error THEN
			CONTINUE;	-- it has no plan
		END;
		hypothetical_cost := NULL;
		hypothetical_size := NULL;
		IF have_hypopg THEN
			BEGIN
				SELECT * INTO hypothetical FROM hypopg_create_index(command);
				hypothetical_cost := cost FROM cost_of(pair.query);
				hypothetical_size := hypopg_relation_size(hypothetical.indexrelid);
			EXCEPTION WHEN OTHERS THEN
				hypothetical_cost := NULL;	-- it refuses this kind
			END;
			PERFORM hypopg_reset();
		END IF;
		INSERT INTO compared VALUES (pair.id, pair.kind, answer.after_cost, hypothetical_cost, NULL, answer.before_cost,
			'compared_index' = ANY (answer.indexes_used), NULL, (answer.index_sizes ->> 'compared_index')::float8, hypothetical_size, NULL);
	END LOOP;
	EXECUTE command;
	FOR pair IN SELECT * FROM pairs WHERE index = which ORDER BY id LOOP
		UPDATE compared c SET built = cost, built_used = nodes ~ 'compared_index|measures_[0-9]_.*idx',
			built_size = coalesce((SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree('compared_index')), pg_relation_size('compared_index'))
		FROM cost_of(pair.query) WHERE c.id = pair.id;
	END LOOP;
	DROP INDEX compared_index;
END $$;

SELECT format('CALL compare(%L)', index) FROM pairs GROUP BY index ORDER BY min(id)
\gexec
