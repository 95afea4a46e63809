-- What the odd statements read and write.
CREATE TABLE numbers (a integer PRIMARY KEY, b text, at timestamptz DEFAULT '2020-01-01 00:00+00', data jsonb DEFAULT '{}', tags text[] DEFAULT '{}');
INSERT INTO numbers SELECT g, chr(97 + g % 26) FROM generate_series(1, 100) g;
