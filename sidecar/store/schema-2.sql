-- Version 2. Who acted: the name of a token of the page, `command line`, or empty for a decision of a log.
ALTER TABLE bans ADD COLUMN actor TEXT NOT NULL DEFAULT '';
ALTER TABLE history ADD COLUMN actor TEXT NOT NULL DEFAULT '';
ALTER TABLE history ADD COLUMN ended_by TEXT NOT NULL DEFAULT '';
ALTER TABLE allowed ADD COLUMN actor TEXT NOT NULL DEFAULT '';
-- Small facts that survive a restart, by kind and key: switches, messages that are not sent yet, counts of a minute.
CREATE TABLE memos (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, at REAL NOT NULL,
                    PRIMARY KEY (kind, key)) WITHOUT ROWID;
