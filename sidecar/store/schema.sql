-- Version 1. A network is a blob: version, prefix length, address in network byte order.
CREATE TABLE bans (id INTEGER PRIMARY KEY, network BLOB NOT NULL, jail TEXT NOT NULL, at REAL NOT NULL, until REAL,
                   origin TEXT NOT NULL, reason TEXT NOT NULL, failures INTEGER NOT NULL,
                   count INTEGER NOT NULL, dry INTEGER NOT NULL, UNIQUE (network, jail));
-- The log lines of a ban as JSON. Separate from bans, because a start does not read them.
CREATE TABLE evidence (ban INTEGER PRIMARY KEY, lines TEXT NOT NULL);
CREATE TABLE history (network BLOB NOT NULL, jail TEXT NOT NULL, at REAL NOT NULL, until REAL,
                      ended REAL NOT NULL, why TEXT NOT NULL, origin TEXT NOT NULL, reason TEXT NOT NULL,
                      failures INTEGER NOT NULL, count INTEGER NOT NULL);
CREATE INDEX history_of ON history (network, jail);
CREATE TABLE failures (jail TEXT NOT NULL, network BLOB NOT NULL, at REAL NOT NULL, line TEXT NOT NULL);
CREATE INDEX failures_of ON failures (network, jail);
-- How far each content of a log was read. A position belongs to the content, not to a name or an inode, so that
-- renamed, copied and packed files are recognized. The newest rowid is the content that was read last.
CREATE TABLE positions (path TEXT NOT NULL, content INTEGER NOT NULL, inode INTEGER NOT NULL, offset INTEGER NOT NULL,
                        head BLOB NOT NULL, tail BLOB NOT NULL, PRIMARY KEY (path, content));
-- Networks that the administrator allowed with `zmban allow`.
CREATE TABLE allowed (network BLOB PRIMARY KEY, at REAL NOT NULL, until REAL, reason TEXT NOT NULL) WITHOUT ROWID;
-- Time zone of a log's dates in seconds ahead of UTC; NULL for the zone of the host.
CREATE TABLE zones (path TEXT PRIMARY KEY, offset REAL) WITHOUT ROWID;
-- Successful logins by network and account; account '' marks a known mail server.
CREATE TABLE good (network BLOB NOT NULL, account TEXT NOT NULL, at REAL NOT NULL,
                   PRIMARY KEY (network, account));
