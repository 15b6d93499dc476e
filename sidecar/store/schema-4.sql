-- Version 4. What a ban was decided on lies by itself: it is read when a person asks, not at each start.
ALTER TABLE bans RENAME TO bans_3;
CREATE TABLE bans (id INTEGER PRIMARY KEY, network BLOB NOT NULL, jail TEXT NOT NULL, at REAL NOT NULL, until REAL,
                   origin TEXT NOT NULL, reason TEXT NOT NULL, failures INTEGER NOT NULL,
                   count INTEGER NOT NULL, dry INTEGER NOT NULL, UNIQUE (network, jail));
CREATE TABLE evidence (ban INTEGER PRIMARY KEY, lines TEXT NOT NULL);
INSERT INTO evidence SELECT rowid, evidence FROM bans_3 WHERE evidence != '[]';
INSERT INTO bans SELECT rowid, network, jail, at, until, origin, reason, failures, count, dry FROM bans_3;
DROP TABLE bans_3;
