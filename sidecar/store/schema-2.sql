-- Version 2. How many seconds the dates of a log are ahead of UTC, where that is not the host's own zone.
CREATE TABLE zones (path TEXT PRIMARY KEY, offset REAL) WITHOUT ROWID;
